"""Two instances of the API on one PostgreSQL and Redis: what one does holds on the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from api.main import create_app
from api.settings import ApiSettings
from ml.jobs import bulk, lease
from ml.jobs.bulk import run_bulk
from ml.jobs.reading import read_rows
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from tests.api.conftest import bearing, key_maker
from tests.api.test_champions import QUERY, second_version, serves
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import job_leases, jobs

pytestmark = pytest.mark.postgres
WITHIN_SECONDS = 5.0
Pair = tuple[httpx.Client, httpx.Client]


@pytest.fixture
def life(tmp_path: Path, postgres_url: str) -> Iterator[Life]:
    made = Life(Firm(tmp_path, postgres_url))
    yield made
    made.close()


@pytest.fixture
def workspace(life: Life) -> Workspace:
    """What Dagster's processes work with."""
    opened = life.ingested()
    train(opened, EIGHTH, "run-1")
    promote_if_passed(opened, EIGHTH, "me")
    score(opened, EIGHTH, [LAST], "run-2")
    return opened


@pytest.fixture
def instances(life: Life, workspace: Workspace, redis_url: str) -> Iterator[Pair]:
    """Each with a connection pool of its own, and an admin's key."""
    settings = ApiSettings(
        api_ip_limit="unlimited",
        api_limits_url=redis_url,
        api_tiers={"standard": "5/minute", "unlimited": "unlimited"},
    )
    key = key_maker(workspace)()
    with ExitStack() as stack:
        pair = [stack.enter_context(serving(create_app(life.on(), settings))) for _ in range(2)]
        for client in pair:
            client.headers.update(bearing(key))
        yield pair[0], pair[1]


def soon(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_key_revoked_on_one_opens_nothing_on_the_other(
    instances: Pair, workspace: Workspace
) -> None:
    one, other = instances
    key = key_maker(workspace)("read")
    assert other.get("/api/models", headers=bearing(key)).status_code == 200
    assert one.delete(f"/api/admin/keys/{key.split('_')[1]}").status_code == 204
    soon(lambda: other.get("/api/models", headers=bearing(key)).status_code == 401)


def test_a_limit_spent_on_one_is_spent_on_the_other(instances: Pair, workspace: Workspace) -> None:
    one, other = instances
    key = bearing(key_maker(workspace)("read", tier="standard"))
    assert [one.get("/api/models", headers=key).status_code for _ in range(5)] == [200] * 5
    problem(other.get("/api/models", headers=key), 429, "rate_limited")


def test_an_idempotency_key_used_on_one_replays_on_the_other(instances: Pair) -> None:
    one, other = instances
    asked = {"content": b"client_id\nc01\n", "headers": {"Idempotency-Key": "file-1"}}
    first = one.post("/api/repeat-orders/bulk?format=csv", **asked)  # type: ignore[arg-type]
    again = other.post("/api/repeat-orders/bulk?format=csv", **asked)  # type: ignore[arg-type]
    assert (first.status_code, first.json()["id"]) == (202, again.json()["id"])
    assert len(other.get("/api/jobs").json()["items"]) == 1


def test_a_job_sent_to_one_is_cancelled_on_the_other_while_it_runs(
    instances: Pair, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = instances
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    began = threading.Event()

    def slowly(path: Path, *form: object) -> Iterator[object]:
        for rows in read_rows(path, *form, chunk_rows=2):  # type: ignore[arg-type]
            yield rows
            began.set()
            time.sleep(0.1)

    monkeypatch.setattr(bulk, "read_rows", slowly)
    rows = b"client_id,revenue_30d\n" + b",5\n" * 400
    sent = one.post("/api/repeat-orders/bulk?format=csv", content=rows).json()
    with writing(workspace.engine) as connection:
        [job] = job_leases.claim(connection, "bulk", utc_now(), timedelta(minutes=5))
    assert job.id == sent["id"]
    run = threading.Thread(target=run_bulk, args=(workspace, job.id, job.attempt, "run-3"))
    run.start()
    assert began.wait(30)
    assert other.delete(f"/api/jobs/{job.id}").json()["state"] == "cancelling"
    run.join(WITHIN_SECONDS)
    assert not run.is_alive()
    ended = one.get(f"/api/jobs/{job.id}").json()
    assert ended["state"] == "cancelled"
    assert 0 < ended["rows_ok"] < 400
    with reading(workspace.engine) as connection:
        assert jobs.under_way(connection, "bulk", EIGHTH.name) is None


def test_a_promotion_on_one_serves_on_the_other(instances: Pair, workspace: Workspace) -> None:
    one, other = instances
    before = other.post("/api/repeat-orders", json=QUERY).json()
    first, second = serves(other), second_version(workspace)
    assert first != second
    why = {"version": second, "reason": "checked"}
    promoted = one.post("/api/admin/models/repeat-orders/promote", json=why)
    assert promoted.status_code == 200, promoted.text
    soon(lambda: serves(other) == second)
    soon(lambda: serves(one) == second)
    back = other.post("/api/admin/models/repeat-orders/rollback", json={"reason": "no"}).json()
    assert back["version"] == first
    soon(lambda: serves(one) == first)
    assert one.post("/api/repeat-orders", json=QUERY).json() == before, "to the last bit"
