"""A process that answers may die or take too long: its call says so, and the next one works."""

from __future__ import annotations

import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.main import create_app
from api.workers import Workers
from ml.lifecycle.workspace import Workspace
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.api.test_decisions import problem
from tests.http_server import serving

QUESTION = {"series_id": "service:S01", "horizon": 3}


class Started(list[int]):
    """The processes that were started, by their id; the next of them may be doomed."""

    doomed = False


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    noted, start = Started(), Workers._start

    async def noting(workers: Workers) -> Process:
        process = await start(workers)
        noted.append(process.pid)
        if noted.doomed:
            process.kill()
        return process

    monkeypatch.setattr(Workers, "_start", noting)
    return noted


@pytest.fixture
def app(seven: Workspace, started: Started) -> Any:
    """An application with one worker process."""
    return create_app(seven, UNLIMITED)


@pytest.fixture
def client(seven: Workspace, app: Any) -> Iterator[httpx.Client]:
    """One that has seen the worker answer each model that needs one."""
    with serving(app) as client:
        client.headers.update(bearing(key_maker(seven)()))
        for model in ("budget", "demand", "revenue-leak"):
            examples = client.get("/openapi.json").json()["components"]["schemas"]
            name = model.title().replace("-", "") + "Query"
            assert client.post(f"/api/{model}", json=examples[name]["examples"][0]).is_success
        yield client


def asked(client: httpx.Client) -> httpx.Response:
    return client.post("/api/demand", json=QUESTION)


def test_a_worker_that_is_killed_while_it_answers_is_replaced_and_asked_again(
    client: httpx.Client, started: Started
) -> None:
    answer = asked(client)
    [first] = started
    os.kill(first, signal.SIGSTOP)  # so that it is certain to be in the middle of it
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asked, client)
        time.sleep(0.3)
        assert not running.done()
        os.kill(first, signal.SIGKILL)
        assert running.result().json() == answer.json()
    assert len(started) == 2


def test_a_worker_that_died_idle_is_not_noticed(client: httpx.Client, started: Started) -> None:
    os.kill(started[0], signal.SIGKILL)
    assert asked(client).status_code == 200


def test_workers_that_die_again_are_a_503_and_the_next_call_works(
    client: httpx.Client, started: Started
) -> None:
    os.kill(started[0], signal.SIGKILL)
    started.doomed = True
    answer = asked(client)
    problem(answer, 503, "worker_died")
    assert int(answer.headers["retry-after"]) >= 1
    batch = client.post("/api/demand/batch", json={"items": [QUESTION, {"colour": "red"}]}).json()
    assert [item["error"]["code"] for item in batch["items"]] == ["worker_died", "invalid_request"]
    started.doomed = False
    assert asked(client).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_the_next_call_works(
    client: httpx.Client, app: Any, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = app.state.services.workers
    os.kill(started[0], signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_seconds", 0.5)
        begun = time.monotonic()
        body = problem(asked(client), 504, "timed_out")
        assert 0.5 <= time.monotonic() - begun < 5
    assert "0.5 s" in body["detail"]
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)  # it is not left behind
    assert asked(client).status_code == 200


def test_a_question_that_breaks_a_worker_fails_alone(
    client: httpx.Client, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, broken = Workers.ask, {"horizon": 7}

    async def asking(workers: Workers, request: Any) -> Any:
        if b'"horizon":7' in request.query:
            request.folder = "nowhere"
        return await ask(workers, request)

    monkeypatch.setattr(Workers, "ask", asking)
    problem(client.post("/api/demand", json=QUESTION | broken), 500, "internal_error")
    batch = client.post("/api/demand/batch", json={"items": [QUESTION, QUESTION | broken]}).json()
    good, bad = batch["items"]
    assert good["error"] is None
    assert bad["error"]["code"] == "internal_error"
    assert asked(client).status_code == 200
