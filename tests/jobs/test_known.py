"""A job over all that a model knows: listed once, in order, whatever is scored meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete

from ml.jobs import bulk
from ml.jobs.bulk import job_files, run_bulk
from ml.jobs.known import store_known
from ml.jobs.lease import LEASE
from ml.jobs.submitting import NoEntitiesError, NotByNameError, queue_all, submit_all
from ml.lifecycle.workspace import Workspace
from ml.models import default_registry
from tests.jobs.test_bulk import in_threes, known, outcomes, workspace
from tests.models.eighth import EIGHTH
from warehouse.database import reading, utc_now, writing
from warehouse.job_files import INPUT
from warehouse.repositories import job_leases, jobs, online
from warehouse.repositories.jobs import Job
from warehouse.repositories.online import OnlineBatch
from warehouse.tables import online_features

__all__ = ["in_threes", "workspace"]
SPECS = default_registry()


@pytest.fixture
def asked(workspace: Workspace) -> Iterator[Job]:
    """A claimed job over everything; what is known is put back after the test."""
    submit_all(workspace, EIGHTH, False, "ann", "cli:ann")
    with writing(workspace.engine) as connection:
        [job] = job_leases.claim(connection, "bulk", utc_now(), LEASE)
        before = connection.execute(online_features.select()).mappings().all()
    yield job
    with writing(workspace.engine) as connection:
        connection.execute(delete(online_features))
        connection.execute(online_features.insert(), [dict(row) for row in before])


def test_a_later_attempt_goes_on_with_the_list_of_the_first(
    workspace: Workspace, asked: Job, in_threes: None
) -> None:
    names = known(workspace, 1000)

    def dies(now: Job) -> None:
        if now.rows_ok == 6:
            raise OSError("the machine went away")

    with pytest.raises(OSError, match="went away"):
        run_bulk(workspace, asked.id, asked.attempt, "run-9", dies)
    gone = names[0], names[-1]
    with writing(workspace.engine) as c:
        c.execute(delete(online_features).where(online_features.c.entity.in_(gone)))
        [again] = job_leases.claim(c, "bulk", utc_now() + LEASE, LEASE)
    ended = run_bulk(workspace, again.id, again.attempt, "run-10")
    assert (ended.state, ended.rows_ok) == ("completed", len(names) - 1)
    found = outcomes(workspace, ended)
    assert found["line"].tolist() == list(range(1, len(names) + 1))
    assert found["buyer_id"].dropna().tolist() == names[:-1], "the first was answered before"
    assert "not stored" in found["detail"].iloc[-1]


def test_an_attempt_that_finished_nothing_lists_what_is_known_by_then(
    workspace: Workspace, asked: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = known(workspace, 1000)

    def fails(*_: object) -> None:
        raise OSError("the machine went away")

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "read_rows", fails)
        with pytest.raises(OSError, match="went away"):
            run_bulk(workspace, asked.id, asked.attempt, "run-9")
    with writing(workspace.engine) as c:
        c.execute(delete(online_features).where(online_features.c.entity == names[0]))
        [again] = job_leases.claim(c, "bulk", utc_now() + LEASE, LEASE)
    ended = run_bulk(workspace, again.id, again.attempt, "run-10")
    assert (ended.rows_ok, ended.rows_error) == (len(names) - 1, 0)


@pytest.mark.parametrize(
    ("model", "entity", "columns"),
    [
        ("churn", "C1\x1fodd", {"client_id": "C1\x1fodd"}),
        ("demand", "service:S1", {"series_id": "service:S1"}),
        ("pricing", "S1\x1fmid\x1flarge", {"service_id": "S1", "segment": "mid\x1flarge"}),
    ],
)
def test_the_parts_of_a_key_are_the_columns_of_the_questions(
    workspace: Workspace, model: str, entity: str, columns: dict[str, str]
) -> None:
    spec, files = SPECS[model], job_files(workspace)
    batch = OnlineBatch("hash", [entity], [{}])
    with writing(workspace.engine) as connection:
        online.replace_if_newest(connection, model, utc_now().date(), "data", batch)
        job = queue_all(connection, spec, False, "ann", "cli:ann")
    store_known(workspace.engine, spec, files, job.id)
    with files.local(job.id, INPUT) as path:
        assert pq.read_table(path).to_pylist() == [columns]
    kind = spec.serving_class()
    assert kind.entity_of(spec.Query.model_validate(columns)) == entity
    with writing(workspace.engine) as connection:
        jobs.cancel(connection, job.id, utc_now())


def test_entities_are_read_in_pages_without_gap(workspace: Workspace) -> None:
    names = known(workspace, 1000)
    with reading(workspace.engine) as connection:
        for some in (1, 3, len(names), len(names) + 1):
            pages = list(online.entities(connection, EIGHTH.name, some))
            assert [name for page in pages for name in page] == names
            assert all(len(page) <= some for page in pages)


def test_a_model_that_knows_nothing_or_is_not_asked_by_name_is_refused(
    workspace: Workspace,
) -> None:
    with pytest.raises(NoEntitiesError, match="not scored"):
        submit_all(workspace, SPECS["profitability"], False, "ann", "cli:ann")
    for model in ("revenue_leak", "budget", "anomaly"):
        with pytest.raises(NotByNameError, match="a name alone is no question"):
            submit_all(workspace, SPECS[model], False, "ann", "cli:ann")
