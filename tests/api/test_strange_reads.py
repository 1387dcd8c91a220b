"""Reads with ids, filters, orders and cursors that nobody means, on both databases: never a 5xx."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from api.main import create_app
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm

MODEL, KEYS, AUDIT = "/api/repeat-orders", "/api/admin/keys", "/api/admin/audit"
IDS = [
    *("%00", "a%00b", "%FF", "%C3%28", "%ED%A0%80", "%F0%9F%98%80", "a%2Fb", "%2F", "a/b", "a//b"),
    *("..", "%2E%2E", "../../etc/passwd", ".%2e/%2e.", "%5C", "%25", "%", "%zz", "%20", "+"),
    *(
        "%0d%0aSet-Cookie:a",
        "'%20OR%201=1--",
        "%E2%80%AE",
        "%EF%BF%BF",
        "%F4%8F%BF%BF",
        "%7F",
        "%3F",
    ),
    "x" * 10_000,
]
FAR = ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "0000-00-00", "9999-12-31")
QUERIES = [
    *(f"buyer_id={text}" for text in ("", "%00", "%FF", "%ED%A0%80", "x" * 10_000)),
    *(f"scored_at.{operator}={day}" for operator in ("eq", "lt", "ge") for day in FAR),
    *(f"as_of={day}" for day in (*FAR, "2026-W10-1", "%00")),
    *(f"expected_revenue.gt={number}" for number in ("1e308", "1e309", "9" * 5000, "1_0", "٣")),
    *(f"limit={number}" for number in ("9" * 30, "9" * 5000, "-1", "1.5", "%00", "")),
    *("sort=%00", "sort=,,,", "sort=--active", "sort=-active,active", "sort=reasons"),
    "sort=" + ",".join(["active"] * 2000),
    "&".join(f"buyer_id.ne={number}" for number in range(3000)),
    *("=x", "%00=x", "buyer_id", "&&&", "limit=1&limit=2", "cursor=", "cursor=%FF", "cursor=A"),
    "cursor=" + "=" * 10,
    "cursor=" + "a" * 50_000,
]


def in_base64(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    raw = text.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(cursor: str) -> Iterator[str]:
    """Cursors as only their reader could have written them, with other values in them."""
    good = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    lasts = [[], [1], "ab", {"a": 1, "b": 2}, None, 7, [*good["last"], 1]]
    strange = (None, True, 1, 0.5, 10**30, -(10**30), "x", "a\0b", "\ud800", [], {}, float("inf"))
    days = ("2026", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-06-30T00:00:00")
    for place in range(len(good["last"])):
        for value in (*strange, *days):
            lasts.append([*good["last"][:place], value, *good["last"][place + 1 :]])
    yield from (in_base64(good | {"last": last}) for last in lasts)
    for other in ({"as_of": None}, {"as_of": "x"}, {"run_id": 5}, {"run_id": "\0"}, {"asked": 1}):
        yield in_base64(good | other)


NO_CURSORS = [
    in_base64(value)
    for value in (
        *("[" * 30_000, '{"asked":' * 5_000, "1" * 5_000, "null", "{}", "[]", '""', "\ud800"),
        *([10**30], [-(10**30)], [-1], [1.5], [True], ["a"], [1, 2], [[], []], ["2026-01-01", "x"]),
        *(["2026-01-01T00:00:00+00:00", key_id] for key_id in ("a\0b", "\ud800", "")),
        *([at, "x"] for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\0")),
    )
]


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory, warehouse_url: str) -> Iterator[httpx.Client]:
    """An admin's client of a firm with a scored day, on each of both databases."""
    life = Life(Firm(tmp_path_factory.mktemp("strange"), warehouse_url))
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    score(workspace, EIGHTH, [LAST], "run-2")
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(key_maker(workspace)()))
        yield client
    life.close()


class Asking:
    """Sends targets as they are, where a client would tidy them up first."""

    def __init__(self, client: httpx.Client) -> None:
        self.connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
        self.headers = {"Authorization": client.headers["authorization"]}
        self.wrong: list[str] = []
        self.sent = 0

    def close(self) -> None:
        self.connection.close()

    def ask(self, method: str, target: str, *statuses: int) -> dict[str, Any]:
        """The JSON of an answer, noted where it is neither a 2xx nor a problem."""
        target = target.encode("ascii", "ignore").decode()
        self.connection.request(method, target, headers=self.headers)
        answer = self.connection.getresponse()
        kind, body = answer.getheader("content-type", ""), answer.read()
        self.sent += 1
        fine = answer.status < 300 or (answer.status < 500 and kind == "application/problem+json")
        if not fine or (statuses and answer.status not in statuses):
            self.wrong.append(f"{answer.status} {method} {target[:120]} {body[:200]!r}")
        found: dict[str, Any] = json.loads(body) if "json" in kind else {}
        return found


@pytest.fixture
def asking(client: httpx.Client) -> Iterator[Asking]:
    with closing(Asking(client)) as asking:
        yield asking


def test_strange_reads_are_answered_or_refused(client: httpx.Client, asking: Asking) -> None:
    for name in IDS:
        missing = (404, 405)  # `..` and `/` may lead to another path
        asking.ask("GET", f"{MODEL}/latest/{name}", *missing)
        asking.ask("GET", f"{MODEL}/models/{name}/info", *missing)
        asking.ask("GET", f"{MODEL}/models/{name}/health", *missing)
        asking.ask("GET", f"/api/models/{name}", *missing)
        asking.ask("GET", f"/docs/guides/{name}", *missing)
        asking.ask("GET", f"/docs/assets/{name}", *missing, 200)
        asking.ask("DELETE", f"{KEYS}/{name}", *missing)
        asking.ask("POST", f"{KEYS}/{name}/rotate", *missing)
        asking.ask("GET", f"/api/predictions?client_id={name}", 404, 422)
        asking.ask("GET", f"{KEYS}?owner={name}", 200, 422)
    for query in QUERIES:
        asking.ask("GET", f"{MODEL}/latest?{query}", 200, 422)
        asking.ask("GET", f"{MODEL}/latest/c03?{query}", 200, 404, 422)
        asking.ask("GET", f"{KEYS}?{query}", 200, 422)
        asking.ask("GET", f"{AUDIT}?{query}", 200, 422)
    for path in (f"{MODEL}/latest", KEYS, AUDIT):
        for cursor in NO_CURSORS:
            asking.ask("GET", f"{path}?cursor={cursor}", 200, 422)
    for sort in ("-expected_revenue", "active", "scored_at,-buyer_id"):
        target = f"{MODEL}/latest?limit=2&sort={sort}"
        cursor = asking.ask("GET", target, 200)["next_cursor"]
        assert asking.ask("GET", f"{target}&cursor={cursor}", 200)["items"]
        for other in forged(cursor):
            asking.ask("GET", f"{target}&cursor={other}", 200, 410, 422)
    for name in ("a\0b", "a\\ud800b", "nobody"):
        body = json.dumps({"client_id": name}).replace("\\\\", "\\")
        answer = client.post(MODEL, content=body)
        assert answer.status_code == 422, answer.text
        body = body.replace("client_id", "owner").replace("}", ', "role": "read"}')
        answer = client.post(KEYS, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == (201 if name == "nobody" else 422), answer.text
    for instant in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
        body = json.dumps({"owner": "me", "role": "read", "expires_at": instant})
        answer = client.post(KEYS, content=body, headers={"content-type": "application/json"})
        assert answer.json()["errors"][0]["pointer"] == "/expires_at"
    assert not asking.wrong, "\n".join(asking.wrong)
    assert asking.sent > 600


def test_too_many_filters_and_a_column_sorted_by_twice_are_refused_by_name(
    client: httpx.Client,
) -> None:
    many = client.get(f"{MODEL}/latest", params=[("buyer_id.ne", "x")] * 51)
    assert "up to 50 filters" in many.json()["detail"]
    assert many.json()["errors"][0]["pointer"] == "/buyer_id.ne"
    twice = client.get(f"{MODEL}/latest", params={"sort": "active,-active"})
    assert "named once" in twice.json()["detail"]
    assert twice.json()["errors"][0]["pointer"] == "/sort"
