"""The service itself: what it offers, how it is, which models it has."""

from __future__ import annotations

import re

import httpx
import pytest

from api.main import create_app
from api.settings import ApiSettings
from ml.lifecycle.workspace import Workspace
from ml.models import default_registry
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.small_firm import Firm

ROUTES = [spec.route for spec in default_registry().values()]


def test_the_root_lists_every_endpoint_that_openapi_has(client: httpx.Client) -> None:
    root = client.get("/").json()
    assert root["service"] == "Sevenfold"
    paths = client.get("/openapi.json").json()["paths"]
    assert root["endpoints"] == sorted(
        f"{method.upper()} {path}" for path, item in paths.items() for method in item
    )
    for route in ROUTES:
        assert f"POST /api/{route}" in root["endpoints"]
        assert f"GET /api/{route}/latest/{{entity}}" in root["endpoints"]


def test_every_models_query_and_decision_are_in_openapi(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for spec in default_registry().values():
        assert schemas[spec.Query.__name__]["additionalProperties"] is False
        assert set(schemas[spec.Decision.__name__]["properties"]) == set(spec.Decision.model_fields)


def test_health_names_each_champion(client: httpx.Client) -> None:
    health = client.get("/api/health").json()
    assert health["status"] == "ok"
    assert health["models"]["repeat_orders"] == "ok"
    assert health["models"]["churn"] == "no_champion"


def test_models_say_why_they_are_silent(client: httpx.Client) -> None:
    items = client.get("/api/models").json()["items"]
    found = {row["model"]: row for row in items}
    assert found["budget"]["status"] == "not available"
    assert found["budget"]["reason"] == ("Budget is not available: the source lacks channel_spend.")
    assert found["churn"]["status"] == "not trained"
    assert client.get("/api/models/revenue-leak").json() == found["revenue_leak"]
    assert client.get("/api/models/revenue_leak").json() == found["revenue_leak"]


@pytest.mark.parametrize("path", ["/nowhere", "/api/models/horoscope", "/api/horoscope/latest"])
def test_what_is_not_there_is_a_problem_and_no_page(client: httpx.Client, path: str) -> None:
    code = "unknown_model" if path.startswith("/api/models/") else "not_found"
    problem(client.get(path), 404, code)


def test_a_wrong_method_says_which_are_allowed(client: httpx.Client) -> None:
    answer = client.delete("/api/repeat-orders/latest")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_before_the_first_ingestion_everything_answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    life = Life(Firm(tmp_path_factory.mktemp("empty")))
    workspace = life.on(registry=default_registry())
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(key_maker(workspace)()))
        assert client.get("/api/health").json()["models"]["churn"] == "no_champion"
        [first, *_] = client.get("/api/models").json()["items"]
        assert first["status"] == "no data yet"
        problem(client.get("/api/churn/latest"), 404, "not_scored")
        problem(client.post("/api/churn", json={"client_id": "x"}), 503, "no_champion")
        problem(client.get("/api/predictions?client_id=x"), 404, "unknown_entity")
    life.close()


def test_an_unexpected_error_shows_nothing_inside(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.service.model_summary", lambda *_: 1 / 0)
    body = problem(client.get("/api/models"), 500, "internal_error")
    assert body["request_id"] in body["detail"]
    assert "ZeroDivision" not in str(body)


def test_a_sane_request_id_is_kept_and_another_replaced(client: httpx.Client) -> None:
    kept = client.get("/api/health/live", headers={"X-Request-ID": "trace-1234.abc"})
    assert kept.headers["x-request-id"] == "trace-1234.abc"
    for strange in ("short", "x" * 200, "new line", "{inject}"):
        answer = client.get("/api/health/live", headers={"X-Request-ID": strange})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_every_answer_has_security_headers(client: httpx.Client) -> None:
    for path in ("/api/models", "/nowhere", "/docs"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_other_origins_may_call_where_settings_allow_them(workspace: Workspace) -> None:
    settings = ApiSettings(api_cors_origins=["https://desk.example"], api_docs=False)
    with serving(create_app(workspace, settings)) as client:
        asked = {"Origin": "https://desk.example", "Access-Control-Request-Method": "POST"}
        allowed = client.options("/api/churn", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
        stranger = client.get("/api/health", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in stranger.headers
        for path in ("/docs", "/openapi.json", "/docs/errors"):
            problem(client.get(path), 404, "not_found")
        assert client.get("/").json()["documentation"] is None
