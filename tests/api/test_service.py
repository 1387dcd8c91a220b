"""The service itself: what it offers, how it is, which models it has."""

from __future__ import annotations

import httpx
import pytest

from api.main import create_app
from ml.lifecycle.workspace import Workspace
from ml.models import default_registry
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
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


def test_before_the_first_ingestion_everything_answers(life_empty: Workspace) -> None:
    with serving(create_app(life_empty)) as client:
        assert client.get("/api/health").json()["models"]["churn"] == "no_champion"
        [first, *_] = client.get("/api/models").json()["items"]
        assert first["status"] == "no data yet"
        problem(client.get("/api/churn/latest"), 404, "not_scored")


@pytest.fixture
def life_empty(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    life = Life(Firm(tmp_path_factory.mktemp("empty")))
    return life.on(registry=default_registry())


def test_a_damaged_champion_is_named_and_an_unexpected_error_shows_nothing_inside(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml.lifecycle.training import promote_if_passed, train

    life = Life(Firm(tmp_path_factory.mktemp("damaged")))
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    (champion.folder / "fitted" / "weights.json").write_text("[1, 2, 3]")
    with serving(create_app(workspace)) as client:
        answer = client.post("/api/repeat-orders", json={"revenue_30d": 10})
        problem(answer, 503, "artifact_damaged")
        assert client.get("/api/health").json()["models"]["repeat_orders"] == "artifact_damaged"
        monkeypatch.setattr("api.routes.service.model_summary", lambda *_: 1 / 0)
        problem(client.get("/api/models"), 500, "internal_error")
    life.close()
