"""A file from the command line to its outcomes: the sensor claims it, a Dagster run answers it."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ml.jobs.forms import form_of
from ml.jobs.results import write_results
from ml.jobs.submitting import submit
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.refusals import FileError
from orchestration import intents
from orchestration.definitions import build_definitions
from orchestration.jobs import BULK
from orchestration.resources import resources
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.orchestration.conftest import Runs
from tests.small_firm import LAST
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs
from warehouse.repositories.jobs import Job


@pytest.fixture
def scored(life: Life) -> Workspace:
    """A champion and a scored day."""
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    score(workspace, EIGHTH, [LAST], "run-2")
    return workspace


@pytest.fixture
def asked(scored: Workspace, tmp_path: Path) -> Job:
    """A file with two good rows and a bad one, sent."""
    path = tmp_path / "rows.csv"
    path.write_text("client_id,revenue_30d\n,5\nnobody,\n,9.5\n")
    return submit(scored, EIGHTH, path, "csv", False, False, "ann", "cli:ann")


class Dagster:
    """The definitions of a workspace, and an instance that remembers."""

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.workspace, self.instance = workspace, instance
        self.definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", workspace)

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.definitions.get_repository_def(),
            resources=dict(resources(self.workspace)),
        )
        data = self.definitions.resolve_sensor_def("bulk_files").evaluate_tick(context)
        return list(data.run_requests or [])

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(BULK)
        return job.execute_in_process(
            run_config=request.run_config, instance=self.instance, raise_on_error=False
        )

    def job(self, job_id: str) -> Job:
        with reading(self.workspace.engine) as connection:
            found = jobs.get(connection, job_id)
        assert found is not None
        return found


@pytest.fixture
def dagster(scored: Workspace) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(scored, instance)


def test_a_file_that_waits_gets_one_run_which_answers_it(dagster: Dagster, asked: Job) -> None:
    [request] = dagster.tick()
    assert dagster.tick() == [], "it is claimed"
    assert request.tags["sevenfold/job"] == asked.id
    result = dagster.run(request)
    assert result.success
    ended = dagster.job(asked.id)
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", 2, 1)
    assert ended.run_id == result.run_id


def test_a_run_that_comes_too_late_does_nothing(
    dagster: Dagster, asked: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = dagster.tick()
    monkeypatch.setattr(intents, "utc_now", lambda: utc_now() + 2 * intents.CLAIM)
    [second] = dagster.tick()
    assert first.run_key != second.run_key, "Dagster remembers a key for ever"
    assert dagster.run(first).success
    assert dagster.job(asked.id).state == "queued"
    assert dagster.run(second).success
    assert dagster.job(asked.id).state == "completed"
    assert dagster.run(second).success, "done again it does nothing"
    assert dagster.job(asked.id).rows_ok == 2


def test_a_job_that_is_cancelled_before_its_run_begins_is_not_answered(
    dagster: Dagster, asked: Job
) -> None:
    [request] = dagster.tick()
    with writing(dagster.workspace.engine) as connection:
        jobs.cancel(connection, asked.id, utc_now())
    assert dagster.run(request).success
    assert (dagster.job(asked.id).state, dagster.job(asked.id).rows_ok) == ("cancelled", 0)


def test_a_file_that_cannot_be_answered_fails_its_run_too(
    dagster: Dagster, scored: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("colour\nred\n")
    job = submit(scored, EIGHTH, path, "csv", False, False, "ann", "cli:ann")
    [request] = dagster.tick()
    assert not dagster.run(request).success
    assert "no query has the columns colour" in str(dagster.job(job.id).error)


def test_results_are_the_same_in_each_form(dagster: Dagster, asked: Job) -> None:
    dagster.run(dagster.tick()[0])
    texts = {}
    for form in ("csv", "ndjson", "parquet"):
        out = io.BytesIO()
        assert write_results(dagster.workspace, asked, form, out) == 3  # type: ignore[arg-type]
        texts[form] = io.BytesIO(out.getvalue())
    whole = pq.read_table(texts["parquet"]).to_pandas()
    assert whole["line"].tolist() == [2, 3, 4]
    columns = ["line", "outcome", "code", "buyer_id", "expected_revenue"]
    as_csv = pd.read_csv(texts["csv"])
    as_lines = pd.read_json(texts["ndjson"], lines=True)
    for other in (as_csv, as_lines):
        pd.testing.assert_frame_equal(
            other[columns], whole[columns], check_dtype=False, check_exact=False, rtol=1e-12
        )
    out = io.BytesIO()
    assert write_results(dagster.workspace, asked, "ndjson", out, "error") == 1
    assert b"nobody" in out.getvalue()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.CSV", ("csv", False)),
        ("a.jsonl.gz", ("ndjson", True)),
        ("a.parquet", ("parquet", False)),
    ],
)
def test_a_files_name_says_what_it_is(name: str, expected: tuple[str, bool]) -> None:
    assert form_of(name) == expected


def test_a_file_that_is_plainly_another_is_refused(scored: Workspace, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="ends like no file of rows"):
        form_of("rows.xlsx")
    path = tmp_path / "rows.csv"
    path.write_bytes(b"PAR1 and more")
    with pytest.raises(FileError, match="not CSV"):
        submit(scored, EIGHTH, path, "csv", False, False, "ann", "cli:ann")
    path.write_bytes(b"\x1f\x8b and more")
    with pytest.raises(FileError, match="not whole gzip"):
        submit(scored, EIGHTH, path, "csv", False, False, "ann", "cli:ann")
    path.write_bytes(b"a,b\n")
    with pytest.raises(FileError, match="not gzip"):
        submit(scored, EIGHTH, path, "csv", True, False, "ann", "cli:ann")


def test_commands_submit_show_and_cancel(sevenfold: Runs, tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    path.write_text("client_id\nC1\n")
    sevenfold("migrate")
    status, out, error = sevenfold("jobs", "submit", "churn", str(path))
    assert status == 0, error
    job_id = out.strip()
    assert job_id in error
    assert job_id in sevenfold("jobs", "list")[1]
    assert "queued" in sevenfold("jobs", "show", job_id)[1]
    assert "cancelled" in sevenfold("jobs", "cancel", job_id)[2]
    status, out, _ = sevenfold("jobs", "results", job_id)
    assert (status, out.split(",")[0]) == (0, '"line"')
    assert sevenfold("jobs", "show", "job_nobody")[::2] == (
        1,
        "error: there is no job 'job_nobody': `sevenfold jobs list` shows them\n",
    )
    status, _, error = sevenfold("jobs", "submit", "churn", str(path), "--format", "parquet")
    assert (status, error) == (1, "error: the file is not PARQUET\n")
    for words in ((), (str(path), "--all")):
        status, _, error = sevenfold("jobs", "submit", "churn", *words)
        assert status == 2
        assert "--all" in error
    status, _, error = sevenfold("jobs", "submit", "churn", "--all")
    assert (status, "not scored" in error) == (1, True)
    status, _, error = sevenfold("jobs", "submit", "budget", "--all")
    assert (status, "a name alone" in error) == (1, True)
