"""Results of jobs over HTTP: whole, streamed by a few processes, and none held up by another."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api import downloads
from api.main import create_app
from api.settings import ApiSettings
from ml.jobs.files import job_files
from ml.jobs.joining import schema_of
from ml.jobs.outcomes import outcome_columns
from ml.jobs.results import write_results
from ml.lifecycle.workspace import Workspace
from tests.api.bulk import ann, found, run, sent, started, wait_until
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.models.eighth import EIGHTH
from warehouse.database import utc_now, writing
from warehouse.repositories import job_expiry, job_leases
from warehouse.repositories.jobs import Chunk, Job

__all__ = ["ann"]


def with_parts(workspace: Workspace, job_id: str, parts: int, rows: int = 20_000) -> Job:
    """A finished job with so many parts of random-looking outcomes, half a megabyte each as CSV."""
    job, files = started(workspace, job_id), job_files(workspace)
    for number in range(parts):
        lines = list(range(number * rows, (number + 1) * rows))
        outcomes = {"line": lines, "outcome": ["ok"] * rows, "buyer_id": [f"c{n}" for n in lines]}
        columns = [
            pa.array(outcomes[one.name], one.type)
            if one.name in outcomes
            else pa.nulls(rows, one.type)
            for one in schema_of(outcome_columns(EIGHTH))
        ]
        name = f"{number:06d}.parquet"
        with files.draft() as draft:
            pq.write_table(pa.table(columns, schema=schema_of(outcome_columns(EIGHTH))), draft)
            files.keep(draft, job_id, name)
        with writing(workspace.engine) as connection:
            job_leases.add_chunk(connection, job_id, job.attempt, Chunk(number, rows, 0, name), [])
    with writing(workspace.engine) as connection:
        job_leases.finish(connection, job_id, job.attempt, "completed", utc_now())
    return found(workspace, job_id)


def children() -> list[psutil.Process]:
    """The processes that write results."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended, or is about to be waited for
            if "ml.jobs.joining" in process.cmdline():
                found.append(process)
    return found


@pytest.fixture
def one_at_once(workspace: Workspace, ann: httpx.Client) -> Iterator[httpx.Client]:
    """A client with the same key, of a server that sends one result at a time."""
    settings = ApiSettings(api_ip_limit="unlimited", api_downloads=1)
    with serving(create_app(workspace, settings)) as client:
        client.headers.update(ann.headers)
        yield client


@pytest.fixture
def two_at_once(
    workspace: Workspace, ann: httpx.Client, make_key: KeyMaker
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of two owners, of a server that sends two results at a time."""
    settings = ApiSettings(api_ip_limit="unlimited", api_downloads=2)
    with (
        serving(create_app(workspace, settings)) as first,
        httpx.Client(base_url=first.base_url, timeout=60) as second,
    ):
        first.headers.update(ann.headers)
        second.headers.update(bearing(make_key("write", owner="bob")))
        yield first, second


@pytest.mark.parametrize("outcome", [None, "ok", "error"])
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_results_are_those_that_the_command_writes(
    ann: httpx.Client, workspace: Workspace, form: Any, outcome: Any
) -> None:
    job_id = sent(ann, b"client_id\nc03\nnobody\nc04\n,\n")
    ended = run(workspace, job_id)
    params = {"format": form} | ({"outcome": outcome} if outcome else {})
    answer = ann.get(f"/api/jobs/{job_id}/results", params=params)
    assert answer.status_code == 200, answer.text
    expected = io.BytesIO()
    write_results(workspace, ended, form, expected, outcome)
    if form == "parquet":
        assert pq.read_table(io.BytesIO(answer.content)).equals(pq.read_table(expected))
    else:
        assert answer.content == expected.getvalue()
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{job_id}.')
    assert answer.headers["content-type"].split(";")[0] in (
        "text/csv",
        "application/x-ndjson",
        "application/vnd.apache.parquet",
    )


def test_results_wait_for_the_end_unless_those_so_far_are_asked_for(
    ann: httpx.Client, workspace: Workspace
) -> None:
    job_id = sent(ann)
    path = f"/api/jobs/{job_id}/results"
    early = ann.get(path)
    assert "queued" in problem(early, 409, "job_under_way")["detail"]
    assert early.headers["retry-after"] == "5"
    so_far = ann.get(path, params={"partial": "true"})
    header = ",".join(f'"{name}"' for name in outcome_columns(EIGHTH))
    assert so_far.text == f"{header}\n"
    assert header.startswith('"line","outcome","code","detail","model_version","as_of"')
    ann.delete(f"/api/jobs/{job_id}")
    ended = ann.get(path, params={"format": "ndjson"})
    assert (ended.status_code, ended.content) == (200, b"")
    for params in ({"format": "xml"}, {"outcome": "perhaps"}, {"partial": "2"}):
        problem(ann.get(path, params=params), 422, "invalid_request")


def test_results_of_an_expired_job_are_gone(ann: httpx.Client, workspace: Workspace) -> None:
    job_id = sent(ann)
    run(workspace, job_id)
    with writing(workspace.engine) as connection:
        job_expiry.expire(connection, [job_id])
    job_files(workspace).remove(job_id)
    problem(ann.get(f"/api/jobs/{job_id}/results"), 410, "job_expired")
    shown = ann.get(f"/api/jobs/{job_id}").json()
    assert (shown["state"], "results" in shown["links"]) == ("expired", False)


def test_a_part_that_is_away_is_a_problem_before_the_first_byte_and_no_whole_answer_after_it(
    ann: httpx.Client, workspace: Workspace
) -> None:
    job = with_parts(workspace, sent(ann), parts=2)
    path = f"/api/jobs/{job.id}/results"
    folder = f"{workspace.settings.jobs}/{job.id}"
    whole = ann.get(path)
    assert len(whole.text.splitlines()) == 40_001
    Path(folder, "000001.parquet").unlink()
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        ann.get(path)
    Path(folder, "000000.parquet").unlink()
    answer = ann.get(path, params={"format": "ndjson"})
    assert folder not in answer.text
    problem(answer, 503, "store_unreachable")
    wait_until(lambda: children() == [])


def read_a_little(client: httpx.Client, job_id: str) -> socket.socket:
    """A download of which only the first kilobyte is taken."""
    line = socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.sendall(
        f"GET /api/jobs/{job_id}/results?format=ndjson HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: {client.headers['authorization']}\r\n\r\n".encode()
    )
    assert line.recv(1024).startswith(b"HTTP/1.1 200")
    return line


def test_a_download_that_nobody_takes_holds_its_place_until_its_caller_leaves(
    one_at_once: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TURN_SECONDS", 0.1)
    job = with_parts(workspace, sent(one_at_once), parts=40)
    path = f"/api/jobs/{job.id}/results"
    with read_a_little(one_at_once, job.id):
        [process] = children()
        other = one_at_once.get(path)
        problem(other, 503, "busy")
        assert other.headers["retry-after"] == "10"
        assert process.is_running(), "it waits to be read, and is not done"
        assert one_at_once.get("/api/jobs").status_code == 200
    wait_until(lambda: children() == [])
    monkeypatch.setattr(downloads, "TURN_SECONDS", 20)
    assert one_at_once.get(path).status_code == 200


def test_one_owner_has_at_most_half_of_the_places(
    two_at_once: tuple[httpx.Client, httpx.Client],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "TURN_SECONDS", 0.1)
    ann, bob = two_at_once
    job = with_parts(workspace, sent(ann), parts=40)
    his = with_parts(workspace, sent(bob), parts=40)
    with read_a_little(ann, job.id):
        said = problem(ann.get(f"/api/jobs/{job.id}/results"), 503, "busy")["detail"]
        assert "1 of them yours" in said
        monkeypatch.setattr(downloads, "TURN_SECONDS", 20)
        assert bob.get(f"/api/jobs/{his.id}/results").status_code == 200


def test_a_process_that_does_not_begin_is_given_up(
    one_at_once: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "START_SECONDS", 0.01)
    job = with_parts(workspace, sent(one_at_once), parts=1)
    path = f"/api/jobs/{job.id}/results"
    problem(one_at_once.get(path), 503, "store_unreachable")
    wait_until(lambda: children() == [])
    monkeypatch.setattr(downloads, "START_SECONDS", 60)
    assert one_at_once.get(path).status_code == 200, "its place is free again"


def test_a_download_that_nobody_takes_is_given_up_after_a_while(
    one_at_once: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "STALL_SECONDS", 0.3)
    job = with_parts(workspace, sent(one_at_once), parts=40)
    with read_a_little(one_at_once, job.id):
        wait_until(lambda: children() == [])
