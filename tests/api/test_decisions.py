"""Stored decisions: filters, order, pages, caching; and decisions on demand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ml.lifecycle.scoring import score
from ml.lifecycle.workspace import Workspace
from ml.models import default_registry
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST

LATEST = "/api/repeat-orders/latest"
ROUTES = [spec.route for spec in default_registry().values()]


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error, checked for its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.get("request_id") == answer.headers["x-request-id"]
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(f"#{code}")
    for secret in ("Traceback", "SELECT", ".py", "/home", "/tmp"):
        assert secret not in answer.text
    return body


def test_rows_are_filtered_by_their_columns(client: httpx.Client) -> None:
    everything = client.get(LATEST, params={"limit": 1000}).json()["items"]
    least = sorted(row["expected_revenue"] for row in everything)[20]
    some = client.get(LATEST, params={"expected_revenue.ge": repr(least), "active": "true"})
    expected = [r for r in everything if r["expected_revenue"] >= least and r["active"]]
    assert some.json()["items"] == expected
    assert 0 < len(expected) < len(everything)
    one = client.get(LATEST, params={"buyer_id": "c03"}).json()["items"]
    assert [row["buyer_id"] for row in one] == ["c03"]
    assert client.get(LATEST, params={"as_of": str(LAST)}).json()["items"] == everything[:100]


def test_pages_hold_each_row_once_in_the_order_asked_for(client: httpx.Client) -> None:
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 7, "sort": "-active,expected_revenue"}
    amounts: list[float] = []
    while True:
        page = client.get(LATEST, params=params).json()
        seen += [row["buyer_id"] for row in page["items"]]
        amounts += [row["expected_revenue"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 40
    assert amounts == sorted(amounts)


def test_a_cursor_of_a_replaced_day_has_expired(client: httpx.Client, workspace: Workspace) -> None:
    page = client.get(LATEST, params={"limit": 5}).json()
    score(workspace, EIGHTH, [LAST], "run-3")
    again = client.get(LATEST, params={"limit": 5, "cursor": page["next_cursor"]})
    assert "read again from the first page" in problem(again, 410, "cursor_expired")["detail"]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"active.between": "1"}, "active.between"),
        ({"expected_revenue.gt": "much"}, "expected_revenue.gt"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"sort": "colour"}, "sort"),
        ({"sort": "reasons"}, "sort"),
        ({"reasons": "x"}, "reasons"),
        ({"active": "perhaps"}, "active"),
        ({"expected_revenue": "nan"}, "expected_revenue"),
        ({"expected_revenue.lt": "-inf"}, "expected_revenue.lt"),
        ({"scored_at.ge": "noon"}, "scored_at.ge"),
        ({"buyer_id": "a\0b"}, "buyer_id"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    client: httpx.Client, params: dict[str, str], named: str
) -> None:
    body = problem(client.get(LATEST, params=params), 422, "invalid_request")
    assert [error["pointer"] for error in body["errors"]] == [f"/{named}"]


def test_the_same_decisions_are_not_sent_twice(client: httpx.Client, workspace: Workspace) -> None:
    first = client.get(LATEST)
    etag = first.headers["etag"]
    assert etag.startswith(f'"repeat_orders:{LAST}:')
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(LATEST, headers={"If-None-Match": sent})
        assert again.status_code == 304, sent
        assert again.content == b""
        assert again.headers["etag"] == etag
    assert client.get(LATEST, headers={"If-None-Match": '"other"'}).status_code == 200
    score(workspace, EIGHTH, [LAST], "run-4")
    changed = client.get(LATEST, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_one_entity_is_its_page_and_an_unknown_one_is_404(client: httpx.Client) -> None:
    found = client.get(f"{LATEST}/c07").json()["items"]
    assert [row["buyer_id"] for row in found] == ["c07"]
    for name in ("nobody", "a%2Fb", "caf%C3%A9%3F%23", "x/y"):
        problem(client.get(f"{LATEST}/{name}"), 404, "unknown_entity")


@pytest.mark.parametrize("route", ROUTES)
def test_a_model_that_never_scored_says_so(client: httpx.Client, route: str) -> None:
    problem(client.get(f"/api/{route}/latest"), 404, "not_scored")


def test_a_model_without_champion_is_silent_on_demand(client: httpx.Client) -> None:
    answer = client.post("/api/churn", json={"client_id": "c07"})
    assert "no champion" in problem(answer, 503, "no_champion")["detail"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_model_refuses_unknown_fields_by_name(client: httpx.Client, route: str) -> None:
    body = problem(client.post(f"/api/{route}", json={"colour": "red"}), 422, "invalid_request")
    assert "/colour" in [error["pointer"] for error in body["errors"]]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ('{"revenue_30d": NaN}', "/revenue_30d"),
        ('{"revenue_30d": Infinity}', "/revenue_30d"),
        ('{"revenue_30d": 1e308}', "/revenue_30d"),
        ('{"revenue_30d": -1}', "/revenue_30d"),
        ('{"revenue_30d": "much"}', "/revenue_30d"),
        ('{"client_id": 7}', "/client_id"),
        ("[]", ""),
        ("{", ""),
        ("", ""),
    ],
)
def test_values_that_do_not_fit_are_refused_with_a_pointer(
    client: httpx.Client, sent: str, pointer: str
) -> None:
    answer = client.post(
        "/api/repeat-orders", content=sent, headers={"content-type": "application/json"}
    )
    body = problem(answer, 422, "invalid_request")
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert "NaN" not in answer.text


def test_nan_in_free_features_is_refused(client: httpx.Client) -> None:
    answer = client.post(
        "/api/churn",
        content='{"features": {"revenue_90d": NaN}}',
        headers={"content-type": "application/json"},
    )
    body = problem(answer, 422, "invalid_request")
    assert any("/features/revenue_90d" in error["pointer"] for error in body["errors"])


def test_a_query_that_cannot_be_answered_points_at_its_field(client: httpx.Client) -> None:
    answer = client.post("/api/repeat-orders", json={"client_id": "nobody"})
    body = problem(answer, 422, "query_not_answerable")
    assert body["errors"] == [{"pointer": "/client_id", "detail": "client 'nobody' is not stored"}]


def test_stored_features_of_another_schema_are_not_mixed_with_a_champion(
    client: httpx.Client, workspace: Workspace
) -> None:
    from sqlalchemy import text

    from warehouse.database import writing

    with writing(workspace.engine) as connection:
        connection.execute(
            text("UPDATE online_features SET schema_hash = 'another' WHERE entity = 'c11'")
        )
    answer = client.post("/api/repeat-orders", json={"client_id": "c11"})
    body = problem(answer, 409, "feature_schema_mismatch")
    assert "schema another" in body["detail"]
