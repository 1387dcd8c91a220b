"""Jobs over HTTP: each owner sees, cancels and fetches its own; admins list everybody's."""

from __future__ import annotations

import io
import json
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
from api.schemas.jobs import EXAMPLE, JobDetail
from api.settings import ApiSettings
from ml.jobs.files import job_files
from ml.jobs.joining import schema_of
from ml.jobs.lease import LEASE
from ml.jobs.outcomes import outcome_columns
from ml.jobs.results import write_results
from ml.lifecycle.workspace import Workspace
from tests.api.bulk import CSV, ROUTE, ROWS, ann, owned, run, wait_until
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.models.eighth import EIGHTH
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import job_expiry, job_leases, jobs
from warehouse.repositories.jobs import Chunk, Job

__all__ = ["ann"]
UNKNOWN = "job_000000000000000000000000"


def sent(client: httpx.Client, content: bytes = ROWS) -> str:
    answer = client.post(ROUTE, content=content, headers=CSV)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def found(workspace: Workspace, job_id: str) -> Job:
    with reading(workspace.engine) as connection:
        job = jobs.get(connection, job_id)
    assert job is not None
    return job


def started(workspace: Workspace, job_id: str) -> Job:
    """A job whose run has begun."""
    with writing(workspace.engine) as connection:
        job_leases.claim(connection, "bulk", utc_now(), LEASE, limit=1000)
        attempt = found(workspace, job_id).attempt or 1
        return job_leases.start(connection, job_id, attempt, "run-9", utc_now(), LEASE)


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


def test_jobs_are_listed_page_by_page_newest_first_and_by_state_and_model(
    ann: httpx.Client,
) -> None:
    made = [sent(ann) for _ in range(5)][::-1]
    assert ann.delete(f"/api/jobs/{made[1]}").json()["state"] == "cancelled"
    names: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = ann.get("/api/jobs", params=params).json()
        names += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert names == made
    for params, expected in (
        ({"state": "cancelled"}, [made[1]]),
        ({"state": "queued", "model": "repeat-orders"}, [made[0], *made[2:]]),
        ({"model": "repeat_orders"}, made),
        ({"model": "churn"}, []),
        ({"state": "running"}, []),
    ):
        items = ann.get("/api/jobs", params=params).json()["items"]
        assert [job["id"] for job in items] == expected, params
    for params in ({"state": "asleep"}, {"model": "nobody"}, {"cursor": "x"}, {"limit": 0}):
        problem(ann.get("/api/jobs", params=params), 422, "invalid_request")


@pytest.mark.parametrize("role", ["write", "admin"])
@pytest.mark.parametrize("state", ["queued", "completed"])
def test_another_owners_job_is_not_there_for_any_verb(
    ann: httpx.Client, workspace: Workspace, make_key: KeyMaker, role: str, state: str
) -> None:
    job_id = sent(ann)
    if state == "completed":
        run(workspace, job_id)
    other = bearing(make_key(role, owner="somebody else"))
    path = f"/api/jobs/{job_id}"
    for method, of in (("GET", path), ("DELETE", path), ("GET", f"{path}/results")):
        theirs = problem(ann.request(method, of, headers=other), 404, "unknown_job")
        nobodys = ann.request(method, of.replace(job_id, UNKNOWN), headers=other)
        nothing = problem(nobodys, 404, "unknown_job")
        assert theirs["detail"].replace(job_id, "") == nothing["detail"].replace(UNKNOWN, "")
    listed = ann.get("/api/jobs", headers=other, params={"limit": 1000}).json()["items"]
    assert job_id not in [job["id"] for job in listed]
    assert found(workspace, job_id).state == state
    assert [job["id"] for job in owned(ann)] == [job_id]


def test_an_admin_lists_every_kind_of_everybody(
    client: httpx.Client, ann: httpx.Client, workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    bulk, owner = sent(ann), request.node.name
    with writing(workspace.engine) as connection:
        train = jobs.create(connection, "train", "churn", owner, "key:1", {}).id
        jobs.create(connection, "train", "churn", "bob", "key:1", {})
    for params, expected in (
        ({}, [train, bulk]),
        ({"kind": "bulk"}, [bulk]),
        ({"kind": "train", "state": "queued"}, [train]),
        ({"model": "churn"}, [train]),
        ({"kind": "score"}, []),
    ):
        answer = client.get("/api/admin/jobs", params={"owner": owner, **params})
        assert [job["id"] for job in answer.json()["items"]] == expected, params
    listed = client.get("/api/admin/jobs").json()["items"]
    assert {job["kind"] for job in listed} == {"bulk", "train"}
    assert all(job["links"] == {} for job in listed if job["owner"] == owner), "404 to others"
    first = client.get("/api/admin/jobs", params={"limit": 1}).json()
    second = client.get("/api/admin/jobs", params={"limit": 1, "cursor": first["next_cursor"]})
    assert first["items"] != second.json()["items"]
    problem(ann.get("/api/admin/jobs"), 403, "forbidden")
    assert {job["id"] for job in owned(ann)} == {bulk, train}
    assert "results" not in ann.get(f"/api/jobs/{train}").json()["links"]
    problem(ann.get(f"/api/jobs/{train}/results"), 409, "no_results")


def test_a_job_says_how_far_it_is_and_which_rows_have_an_error(
    ann: httpx.Client, workspace: Workspace
) -> None:
    job_id = sent(ann, ROWS + b"x,y,z\n" * 2)
    waits = ann.get(f"/api/jobs/{job_id}").json()
    assert (waits["progress"], waits["errors"], waits["expires_at"]) == (0.0, [], None)
    with writing(workspace.engine) as connection:
        job_leases.claim(connection, "bulk", utc_now(), LEASE, limit=1000)
        attempt = found(workspace, job_id).attempt or 1
        job_leases.start(connection, job_id, attempt, "run-9", utc_now(), LEASE)
        job_leases.add_chunk(connection, job_id, attempt, Chunk(9, 1, 1, "9"), [])
        half = ann.get(f"/api/jobs/{job_id}").json()
    assert half["progress"] == 0.0, "what is not committed is not shown"
    half = ann.get(f"/api/jobs/{job_id}").json()
    assert (half["state"], half["progress"], half["run_id"]) == ("running", 0.4, "run-9")

    other = sent(ann, ROWS + b"x,y,z\n" * 2)
    run(workspace, other)
    done = ann.get(f"/api/jobs/{other}").json()
    assert (done["state"], done["rows_ok"], done["rows_error"]) == ("completed", 1, 3)
    assert (done["progress"], done["error"]) == (1.0, None)
    assert [(one["line"], one["code"]) for one in done["errors"]] == [
        (3, "query_not_answerable"),
        (4, "unreadable_row"),
        (5, "unreadable_row"),
    ]
    assert done["expires_at"] > done["finished_at"] > done["started_at"] > done["created_at"]
    for path in done["links"].values():
        assert ann.get(path).status_code == 200


def test_a_job_is_cancelled_at_once_where_it_waits_and_soon_where_it_runs(
    client: httpx.Client, ann: httpx.Client, workspace: Workspace, make_key: KeyMaker
) -> None:
    waits, runs, ended = sent(ann), sent(ann), sent(ann)
    run(workspace, ended)
    started(workspace, runs)
    reader = bearing(make_key("read", owner="reader"))
    problem(ann.delete(f"/api/jobs/{waits}", headers=reader), 403, "forbidden")
    for _ in range(2):
        states = {
            job: ann.delete(f"/api/jobs/{job}").json()["state"] for job in (waits, runs, ended)
        }
        assert states == {waits: "cancelled", runs: "cancelling", ended: "completed"}
    entries = client.get("/api/admin/audit", params={"limit": 1000}).json()["items"]
    noted = [one for one in entries if one["action"] == "job.cancel"]
    assert {one["subject"] for one in noted} >= {waits, runs}
    for subject, count in ((waits, 1), (runs, 1), (ended, 0)):
        assert [one["subject"] for one in noted].count(subject) == count
    assert all(one["request_id"] and one["key_id"] for one in noted)


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


@pytest.mark.parametrize("job_id", ["nobody", "caf%C3%A9", "%00", "x" * 300])
def test_a_job_that_is_not_there_is_404(ann: httpx.Client, job_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/results")):
        problem(ann.request(method, f"/api/jobs/{job_id}{path}"), 404, "unknown_job")


def test_the_documented_example_of_a_job_is_one(client: httpx.Client) -> None:
    shown = JobDetail(**EXAMPLE, errors=[])
    assert json.loads(shown.model_dump_json()) == {**EXAMPLE, "errors": []}
    document = client.get("/openapi.json").json()
    bulk = document["paths"]["/api/churn/bulk"]["post"]
    assert "multipart/form-data" in bulk["requestBody"]["content"]
    assert bulk["requestBody"]["content"]["text/csv"]["example"].startswith("client_id")
    assert "Location" in bulk["responses"]["202"]["headers"]
