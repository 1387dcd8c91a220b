"""What goes wrong around a call stays where it belongs, and is said in words."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import CapturingLogger

from api import dependencies
from api.cache import OVERHEAD, DayCache
from api.keys import Keys
from api.limiter import Limiter
from api.main import create_app
from api.problems import MOST_ERRORS
from api.settings import ApiSettings
from ml.lifecycle.workspace import Workspace
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.http_server import serving
from warehouse.points import Day

ROUTE = "/api/repeat-orders"
UNKNOWN = f"svf_{'a' * 12}_{'b' * 32}"


@pytest.fixture
def narrow(workspace: Workspace) -> Iterator[httpx.Client]:
    """A client without a key, of a server that lets an address call three times."""
    with serving(create_app(workspace, ApiSettings(api_ip_limit="3/minute"))) as client:
        yield client


def test_a_background_step_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(dependencies, "LOG", log)
    done = asyncio.Event()
    tries: list[int] = []

    async def step() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise KeyError("nobody foresaw it")
        done.set()

    async def run() -> None:
        task = asyncio.create_task(dependencies._every(0.001, step))
        await asyncio.wait_for(done.wait(), 5)
        task.cancel()

    asyncio.run(run())
    assert [call.args for call in log.calls] == [("step_failed",)] * 2


def test_thousands_of_bad_fields_are_not_listed(client: httpx.Client) -> None:
    many = {f"unknown_{number}": 1 for number in range(MOST_ERRORS + 1)}
    alone = problem(client.post(ROUTE, json=many), 422, "invalid_request")
    assert [error["pointer"] for error in alone["errors"]] == [""]
    assert f"{MOST_ERRORS + 1} fields" in alone["detail"]
    batch = client.post(f"{ROUTE}/batch", json={"items": [many, {"client_id": "C1"}]})
    first, second = batch.json()["items"]
    assert first["error"]["errors"] == alone["errors"]
    assert second["error"]["code"] != "invalid_request"
    few = dict(list(many.items())[:3])
    listed = problem(client.post(ROUTE, json=few), 422, "invalid_request")["errors"]
    assert [error["pointer"] for error in listed] == [f"/{name}" for name in few]


def test_held_answers_take_no_more_than_they_may_however_small() -> None:
    cache: DayCache[bytes] = DayCache(most_bytes=100 * OVERHEAD)
    day = Day(date(2026, 1, 1), "run")
    for number in range(1000):
        cache.put(number, day, b"", 0)
    held = [number for number in range(1000) if cache.get(number, day) is not None]
    assert held == list(range(900, 1000))
    cache.put("long", day, b"", 50 * OVERHEAD)
    assert cache.get("long", day) is None


def test_strangers_above_their_limit_are_not_looked_for(
    narrow: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = Keys.caller

    async def caller(self: Keys, text: str) -> Any:
        looked.append(text)
        return await real(self, text)

    monkeypatch.setattr(Keys, "caller", caller)
    answers = [narrow.get("/api/models", headers=bearing(UNKNOWN)) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 5
    assert len(looked) == 3


def test_a_key_made_a_moment_ago_works_at_once(narrow: httpx.Client, make_key: KeyMaker) -> None:
    for _ in range(4):
        key = bearing(make_key("read"))
        answer = narrow.get("/api/models", headers=key)
    assert answer.status_code == 429, "looking for one counts for the address"
    assert narrow.get("/api/models", headers=key).status_code in (200, 429)


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("2001:db8:1:2:3::4", "2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:2:3::4", "2001:db8:1:3:3::4", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_one_caller_is_an_address_or_a_network_of_ipv6(
    address: str, other: str, same: bool
) -> None:
    async def run() -> bool:
        limiter = Limiter(ApiSettings(api_ip_limit="1/minute"))
        await limiter.of_address(address)
        counted = await limiter.of_address(other)
        assert counted is not None
        return not counted.allowed

    assert asyncio.run(run()) == same


def test_errors_tell_the_limit_too(narrow: httpx.Client, make_key: KeyMaker) -> None:
    key = bearing(make_key("admin", tier="standard"))
    narrow.get("/api/models", headers=key)
    for answer in (
        narrow.get("/nowhere", headers=key),
        narrow.put("/api/models", headers=key),
        narrow.post(ROUTE, headers=key, json={"colour": 1}),
    ):
        assert answer.status_code in (404, 405, 422)
        assert answer.headers["ratelimit-policy"].startswith('"standard"')


def test_a_page_of_another_origin_can_read_why_it_was_refused(workspace: Workspace) -> None:
    settings = ApiSettings(api_cors_origins=["https://desk.example"])
    with serving(create_app(workspace, settings)) as client:
        refused = client.get("/api/models", headers={"Origin": "https://desk.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://desk.example"


def test_ids_may_hold_newlines(client: httpx.Client) -> None:
    known = client.get(f"{ROUTE}/latest").json()["items"][0]["buyer_id"]
    assert client.get(f"{ROUTE}/latest/{known}").status_code == 200
    for other in (f"{known}%0A", "a%0Ab", "%0A"):
        problem(client.get(f"{ROUTE}/latest/{other}"), 404, "unknown_entity")


@pytest.mark.parametrize(
    ("message", "code"),
    [("database is locked", "warehouse_busy"), ("disk I/O error", "warehouse_unreachable")],
)
def test_a_warehouse_that_cannot_be_written_to_says_why(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, message: str, code: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OperationalError("INSERT …", {}, sqlite3.OperationalError(message))

    monkeypatch.setattr("warehouse.repositories.keys.create", fails)
    asked = {"owner": "ann", "role": "read"}
    answer = client.post("/api/admin/keys", json=asked)
    assert message not in answer.text
    problem(answer, 503, code)
    assert answer.headers["retry-after"] == "5"


def test_a_warehouse_that_is_away_is_no_fault_of_ours(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OperationalError("SELECT …", {}, Exception("connection refused"))

    monkeypatch.setattr("api.routes.stored.read_page", fails)
    problem(client.get(f"{ROUTE}/latest", params={"limit": 7}), 503, "warehouse_unreachable")


def test_json_that_breaks_off_points_at_the_body(client: httpx.Client) -> None:
    answer = client.post(
        "/api/admin/keys",
        content='{"owner": "me", nope}',
        headers={"Content-Type": "application/json"},
    )
    [error] = problem(answer, 422, "invalid_request")["errors"]
    assert error["pointer"] == ""


def test_all_methods_of_a_path_are_allowed_not_only_the_first(client: httpx.Client) -> None:
    assert client.put("/api/admin/keys").headers["allow"] == "GET, POST"


def test_links_between_guides_lead_somewhere(client: httpx.Client) -> None:
    for guide in ("first-call", "models", "keys", "limits", "endpoints"):
        page = client.get(f"/docs/guides/{guide}").text
        assert "../" not in page
        for link in set(page.split('href="')[1:]):
            path = link.split('"')[0]
            if path.startswith("/docs"):
                assert client.get(path.split("#")[0]).status_code == 200, path


def test_errors_are_counted_by_their_code(client: httpx.Client) -> None:
    client.get("/nowhere")
    assert 'sevenfold_errors_total{code="not_found"}' in client.get("/metrics").text
