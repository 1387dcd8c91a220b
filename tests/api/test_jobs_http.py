"""Jobs over HTTP: each owner sees and cancels its own; admins list everybody's."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.schemas.jobs import EXAMPLE, JobDetail
from ml.jobs.lease import LEASE
from ml.lifecycle.workspace import Workspace
from tests.api.bulk import ROWS, ann, found, owned, run, sent, started
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from warehouse.database import utc_now, writing
from warehouse.repositories import job_leases, jobs
from warehouse.repositories.jobs import Chunk

__all__ = ["ann"]
UNKNOWN = "job_000000000000000000000000"


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
