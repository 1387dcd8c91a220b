"""A bulk file's rows are each answered once, whoever dies, is cancelled or sends nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ml.jobs import bulk
from ml.jobs.bulk import job_files, run_bulk
from ml.jobs.lease import LEASE
from ml.jobs.reading import read_rows
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.serving import asking
from tests.small_firm import LAST, Firm, morning_after
from warehouse.database import reading, utc_now, writing
from warehouse.job_files import INPUT, JobFiles, MissingFileError
from warehouse.objects import StoreError
from warehouse.repositories import job_leases, jobs, models
from warehouse.repositories.job_leases import LostJobError
from warehouse.repositories.jobs import Job

Send = Callable[..., Job]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One scored day of the eighth model."""
    life = Life(Firm(tmp_path_factory.mktemp("bulk")))
    opened = life.ingested()
    train(opened, EIGHTH, "run-1")
    promote_if_passed(opened, EIGHTH, "me")
    score(opened, EIGHTH, [LAST], "run-2")
    yield opened
    life.close()


@pytest.fixture
def send(workspace: Workspace) -> Send:
    """Stores a file and claims the job over it."""

    def sent(content: bytes, form: str = "csv", **params: Any) -> Job:
        files, job_id = job_files(workspace), jobs.new_id()
        with files.draft() as draft:
            draft.write_bytes(content)
            files.keep(draft, job_id, INPUT)
        given = {"form": form, **params}
        with writing(workspace.engine) as c:
            jobs.create(c, "bulk", EIGHTH.name, "ann", "key:1", given, job_id)
            [job] = job_leases.claim(c, "bulk", utc_now(), LEASE)
        return job

    return sent


@pytest.fixture
def in_threes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three rows."""
    monkeypatch.setattr(
        bulk, "read_rows", lambda path, form, gzipped: read_rows(path, form, gzipped, 3)
    )


def outcomes(workspace: Workspace, job: Job) -> pd.DataFrame:
    files = job_files(workspace)
    with reading(workspace.engine) as connection:
        parts = [chunk.part for chunk in jobs.chunks(connection, job.id)]
    tables = []
    for part in parts:
        with files.local(job.id, part) as path:
            tables.append(pq.read_table(path).to_pandas())
    return pd.concat(tables, ignore_index=True)


def known(workspace: Workspace, count: int = 20) -> list[str]:
    with reading(workspace.engine) as connection:
        table = "SELECT entity FROM online_features WHERE model = 'repeat_orders' ORDER BY entity"
        rows = connection.exec_driver_sql(table).scalars().all()
    assert len(rows) >= 5
    return [str(name) for name in rows[:count]]


def test_every_row_has_one_outcome_with_its_line_and_reason(
    workspace: Workspace, send: Send, in_threes: None
) -> None:
    first, second, *_ = known(workspace)
    text = (
        f"client_id,revenue_30d\n{first},\n{second},12.5\nnobody,\n,7\nC9\n,-3\n{first},many\n\n,\n"
    )
    job = send(text.encode())
    ended = run_bulk(workspace, job.id, job.attempt, "run-9")
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", 3, 4)
    found = outcomes(workspace, ended).set_index("line")
    assert found.index.tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert found["outcome"].tolist() == ["ok", "ok", "error", "ok", "error", "error", "error"]
    detail = found["detail"]
    assert "not stored" in detail[4]
    assert "header has 2" in detail[6]
    assert "revenue_30d" in detail[7]
    assert "revenue_30d" in detail[8]
    assert found["code"].dropna().tolist() == [
        "query_not_answerable",
        "unreadable_row",
        "invalid_row",
        "invalid_row",
    ]
    with reading(workspace.engine) as connection:
        assert [one.line for one in jobs.errors(connection, job.id)] == [4, 6, 7, 8]
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    assert ended.result == {"model_version": champion.version}


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_each_form_gives_what_a_single_call_gives(
    workspace: Workspace, send: Send, tmp_path: Path, form: str
) -> None:
    frame = pd.DataFrame({"client_id": known(workspace)})
    frame["revenue_30d"] = np.where(np.arange(len(frame)) % 2, 3.25, np.nan)
    if form == "csv":
        content = frame.to_csv(index=False).encode()
    elif form == "ndjson":
        content = frame.to_json(orient="records", lines=True).encode()
    else:
        frame.astype({"revenue_30d": "Float64"}).to_parquet(tmp_path / "rows")
        content = (tmp_path / "rows").read_bytes()
    job = send(content, form)
    ended = run_bulk(workspace, job.id, job.attempt, "run-9")
    assert (ended.state, ended.rows_error) == ("completed", 0), ended.error
    found = outcomes(workspace, ended)
    for place, row in enumerate(frame.itertuples()):
        given = {} if np.isnan(row.revenue_30d) else {"revenue_30d": row.revenue_30d}
        query = EIGHTH.Query(client_id=row.client_id, **given)
        answer = asking.ask(workspace, EIGHTH, query)
        [decision] = answer.decisions
        assert found["buyer_id"][place] == decision["buyer_id"]
        assert found["expected_revenue"][place] == decision["expected_revenue"]
        assert found["as_of"][place] == LAST
        inputs = {name: list(names) for name, names in answer.inputs.items()}
        assert json.loads(found["inputs"][place]) == inputs
        assert json.loads(found["decision_detail"][place]) == {"share_of_year": None}
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    assert set(found["model_version"]) == {champion.version}
    assert set(found["data_version"]) == {workspace.data_version().snapshot}


def test_the_next_attempt_goes_on_after_the_last_finished_chunk(
    workspace: Workspace, send: Send, in_threes: None
) -> None:
    names = known(workspace, 8)
    job = send(("client_id\n" + "\n".join(names) + "\n").encode())

    def dies(now: Job) -> None:
        if now.rows_ok == 6:
            raise OSError("the machine went away")

    with pytest.raises(OSError, match="went away"):
        run_bulk(workspace, job.id, job.attempt, "run-9", dies)
    with writing(workspace.engine) as c:
        assert job_leases.claim(c, "bulk", utc_now(), LEASE) == []
        [again] = job_leases.claim(c, "bulk", utc_now() + LEASE, LEASE)
    steps: list[int] = []
    ended = run_bulk(
        workspace, again.id, again.attempt, "run-10", lambda now: steps.append(now.rows_ok)
    )
    assert steps == [8], "two chunks were finished"
    assert (ended.state, ended.rows_ok, ended.run_id) == ("completed", 8, "run-10")
    assert outcomes(workspace, ended)["buyer_id"].tolist() == names
    with pytest.raises(LostJobError):
        run_bulk(workspace, job.id, job.attempt, "run-9")


def test_a_promotion_in_between_changes_no_rows_of_a_file_that_was_begun(
    workspace: Workspace, send: Send, in_threes: None
) -> None:
    begun = workspace.champion(EIGHTH)
    assert begun is not None
    job = send(("client_id\n" + "\n".join(known(workspace, 8)) + "\n").encode())

    def dies(now: Job) -> None:
        raise OSError("the machine went away")

    with pytest.raises(OSError, match="went away"):
        run_bulk(workspace, job.id, job.attempt, "run-9", dies)
    a_day_before = replace(workspace, clock=morning_after(LAST - timedelta(days=1)))
    newer = train(a_day_before, EIGHTH, "run-11").version
    try:
        with writing(workspace.engine) as c:
            models.promote(c, EIGHTH.name, newer, "in between", "me")
            [again] = job_leases.claim(c, "bulk", utc_now() + LEASE, LEASE)
        ended = run_bulk(workspace, again.id, again.attempt, "run-10")
    finally:
        with writing(workspace.engine) as c:
            models.promote(c, EIGHTH.name, begun.version, "back", "me")
    assert newer != begun.version
    assert ended.result == {"model_version": begun.version}
    assert outcomes(workspace, ended)["model_version"].tolist() == [begun.version] * 8


def test_a_cancelled_job_stops_between_chunks_and_keeps_what_it_has(
    workspace: Workspace, send: Send, in_threes: None
) -> None:
    job = send(("client_id\n" + "\n".join(known(workspace) * 40) + "\n").encode())

    def cancels(now: Job) -> None:
        if now.rows_ok == 3:
            with writing(workspace.engine) as connection:
                jobs.cancel(connection, job.id, utc_now())

    ended = run_bulk(workspace, job.id, job.attempt, "run-9", cancels)
    assert ended.state == "cancelled"
    assert ended.rows_ok == 6, "the chunk that was at work is kept"
    assert len(outcomes(workspace, ended)) == ended.rows_ok


@pytest.mark.parametrize(
    ("content", "params", "said"),
    [
        (b"", {}, "empty"),
        (b"client_id,colour\nC1,red\n", {}, "no query has the columns colour"),
        (b"client_id,client_id.x\nC1,\n", {}, "client_id and client_id.x are about the same"),
        (b"client_id\nC1\n", {"gzip": True}, "gzip"),
    ],
    ids=["empty", "columns", "one in the other", "no gzip"],
)
def test_a_file_that_cannot_be_read_fails_the_job_in_words(
    workspace: Workspace, send: Send, content: bytes, params: dict[str, Any], said: str
) -> None:
    job = send(content, **params)
    ended = run_bulk(workspace, job.id, job.attempt, "run-9")
    assert (ended.state, ended.rows_ok) == ("failed", 0)
    assert said in str(ended.error)


def test_a_file_that_is_gone_fails_the_job(workspace: Workspace, send: Send) -> None:
    job = send(b"client_id\nC1\n")
    job_files(workspace).remove(job.id)
    ended = run_bulk(workspace, job.id, job.attempt, "run-9")
    assert (ended.state, "send it again" in str(ended.error)) == ("failed", True)
    with pytest.raises(MissingFileError), job_files(workspace).local(job.id, INPUT):
        pass


def test_where_the_store_does_not_answer_the_next_attempt_goes_on(
    workspace: Workspace, send: Send, in_threes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = known(workspace, 9)
    job = send(("client_id\n" + "\n".join(names) + "\n").encode())
    keep, kept = JobFiles.keep, []

    def fails_at_the_second(files: JobFiles, draft: Path, job_id: str, name: str) -> None:
        kept.append(name)
        if len(kept) == 2:
            raise StoreError("s3://bucket/jobs: the store does not answer as it should (503)")
        keep(files, draft, job_id, name)

    monkeypatch.setattr(JobFiles, "keep", fails_at_the_second)
    with pytest.raises(StoreError):
        run_bulk(workspace, job.id, job.attempt, "run-9")
    with writing(workspace.engine) as c:
        [again] = job_leases.claim(c, "bulk", utc_now() + LEASE, LEASE)
    assert (again.id, again.rows_ok) == (job.id, 3)
    ended = run_bulk(workspace, again.id, again.attempt, "run-10")
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", 9, 0)
    assert outcomes(workspace, ended)["buyer_id"].tolist() == names


def test_what_nobody_foresaw_fails_the_job_once_and_shows_no_value(
    workspace: Workspace, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = send(b"client_id\nC1\n")

    def breaks(*_: object, **__: object) -> None:
        raise KeyError("C1")

    monkeypatch.setattr(EIGHTH.serving_class(), "answer_many", breaks)
    with pytest.raises(KeyError):
        run_bulk(workspace, job.id, job.attempt, "run-9")
    with reading(workspace.engine) as connection:
        ended = jobs.get(connection, job.id)
    assert ended is not None
    assert ended.state == "failed"
    assert "KeyError" in str(ended.error)
    assert "C1" not in str(ended.error)
