"""A new champion reaches a running server; one that is damaged does not, and nothing fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from api.main import create_app
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import Firm
from warehouse.database import writing
from warehouse.repositories import models

PATH = "/api/repeat-orders"
QUERY = {"revenue_30d": 10}


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One trained and promoted version of the eighth model."""
    life = Life(Firm(tmp_path_factory.mktemp("champions")))
    opened = life.ingested()
    train(opened, EIGHTH, "run-1")
    promote_if_passed(opened, EIGHTH, "me")
    yield opened
    life.close()


@pytest.fixture
def client(workspace: Workspace) -> Iterator[httpx.Client]:
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(key_maker(workspace)()))
        yield client


def serves(client: httpx.Client) -> str:
    answer = client.post(PATH, json=QUERY)
    assert answer.status_code == 200, answer.text
    version: str = answer.json()["model_version"]
    return version


def wait_for(condition: object, seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def second_version(workspace: Workspace) -> str:
    """Another version of the same model, trained as it would have been forty days before."""
    earlier = replace(workspace, clock=lambda: workspace.clock() - timedelta(days=40))
    return train(earlier, EIGHTH, "run-2").version


def test_a_promotion_reaches_a_running_server_without_a_failed_request(
    workspace: Workspace, client: httpx.Client
) -> None:
    first, second = serves(client), second_version(workspace)
    seen: list[str] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            seen.append(serves(client))

    thread = threading.Thread(target=call)
    thread.start()
    with writing(workspace.engine) as connection:
        models.promote(connection, EIGHTH.name, second, "a test", "me")
    started = time.monotonic()
    wait_for(lambda: seen and seen[-1] == second)
    assert time.monotonic() - started < 5
    with writing(workspace.engine) as connection:
        models.rollback(connection, EIGHTH.name, "a test", "me")
    wait_for(lambda: seen[-1] == first)
    stop.set()
    thread.join()
    changes = [version for n, version in enumerate(seen) if n == 0 or version != seen[n - 1]]
    assert changes == [first, second, first]


def test_a_damaged_version_is_refused_and_the_one_before_goes_on(
    workspace: Workspace, client: httpx.Client
) -> None:
    first, second = serves(client), second_version(workspace)
    path = workspace.artifacts.open(EIGHTH.name, second).fitted_folder / "weights.json"
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with writing(workspace.engine) as connection:
        models.promote(connection, EIGHTH.name, second, "a test", "me")

    def state() -> str:
        found: str = client.get("/api/health").json()["models"][EIGHTH.name]
        return found

    wait_for(lambda: state() == "artifact_damaged")
    health = client.get("/api/health").json()
    assert (health["status"], health["serving"][EIGHTH.name]) == ("degraded", first)
    assert client.get("/api/health/ready").status_code == 200
    assert serves(client) == first
    version = client.get(f"{PATH}/models/{second}/health").json()
    assert (version["status"], version["intact"]) == ("failed", False)
    info = client.get(f"{PATH}/models/{second}/info").json()
    assert (info["serves"], info["features"]) == (False, None)
    path.write_bytes(whole)
    wait_for(lambda: state() == "ok", seconds=12)
    assert serves(client) == second


def test_a_version_that_cannot_be_loaded_does_not_replace_one_that_works(
    workspace: Workspace, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = serves(client), second_version(workspace)

    def fails(*_: object) -> None:
        raise KeyError("a library is missing")

    with monkeypatch.context() as patch:
        patch.setattr(EIGHTH.serving_class(), "__init__", fails)
        with writing(workspace.engine) as connection:
            models.promote(connection, EIGHTH.name, second, "a test", "me")
        states = lambda: client.get("/api/health").json()["models"]  # noqa: E731
        wait_for(lambda: states()[EIGHTH.name] == "champion_broken")
        assert serves(client) == first
        health = client.get(f"{PATH}/models/{second}/health").json()
        assert (health["status"], health["intact"], health["loads"]) == ("failed", True, False)
        assert "missing" not in health["detail"]
    wait_for(lambda: states()[EIGHTH.name] == "ok", seconds=12)
    assert serves(client) == second


def test_a_server_that_starts_on_a_damaged_champion_says_so(workspace: Workspace) -> None:
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    (champion.fitted_folder / "weights.json").write_text("[1, 2, 3]")
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(key_maker(workspace)()))
        problem(client.post(PATH, json=QUERY), 503, "artifact_damaged")
        ready = client.get("/api/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert client.get("/api/health/live").status_code == 200


def test_versions_are_found_by_id_by_champion_and_by_latest(
    workspace: Workspace, client: httpx.Client
) -> None:
    newest, older = serves(client), second_version(workspace)
    with writing(workspace.engine) as connection:
        models.promote(connection, EIGHTH.name, older, "a test", "me")
    wait_for(lambda: serves(client) == older)
    for name in ("champion", "repeat_orders", "repeat-orders", older):
        info = client.get(f"{PATH}/models/{name}/info").json()
        assert (info["version"], info["serves"]) == (older, True)
        assert info["features"] == ["revenue_30d", "revenue_90d", "revenue_365d"]
        assert info["card"].startswith("#")
        assert client.get(f"{PATH}/models/{name}/health").json()["status"] == "ok"
    latest = client.get(f"{PATH}/models/latest/info").json()
    assert (latest["version"], latest["serves"]) == (newest, False)
    for name in ("nothing", "churn-20200101-0123456789", "%00"):
        problem(client.get(f"{PATH}/models/{name}/info"), 404, "unknown_version")


def test_metrics_name_the_version_that_serves(client: httpx.Client) -> None:
    version = serves(client)
    text = client.get("/metrics").text
    assert f'sevenfold_model_version{{model="repeat_orders",version="{version}"}} 1.0' in text
    assert 'sevenfold_requests_total{method="POST",route="/api/repeat-orders",status="200"}' in text
    assert "sevenfold_request_seconds_bucket" in text
    counted = client.get("/api/admin/metrics").json()
    assert counted['sevenfold_decisions_total{model="repeat_orders"}'] >= 1
