"""The test of the design: one more model is one file and one line, from data to an HTTP answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from sqlalchemy import text

from api.main import create_app
from ml.lifecycle.workspace import Workspace
from ml.models import Registry, default_registry
from orchestration.definitions import build_definitions
from orchestration.jobs import INGEST, daily_job_name, training_job_name
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.http_server import serving
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm
from warehouse.database import reading
from warehouse.repositories import drift, performance, value

DAY = LAST


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The firm after its first day: every job of the eighth model ran in Dagster."""
    firm = Firm(tmp_path_factory.mktemp("eighth"))
    firm.export()
    registry = Registry([*default_registry().values(), EIGHTH])
    opened = firm.on(registry=registry, drift_min_rows=20)
    definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", opened)
    with dg.DagsterInstance.ephemeral() as instance:
        _run(definitions, instance, INGEST)
        _run(definitions, instance, training_job_name(EIGHTH))
        for day in (DAY - timedelta(days=1), DAY):
            _run(definitions, instance, daily_job_name(EIGHTH), day)
        opened_again = _materialised(instance)
    assert opened_again == {
        f"repeat_orders/{step}"
        for step in ("candidate", "champion", "scores", "drift", "performance")
    } | {"raw/invoice_lines"}
    yield opened
    opened.engine.dispose()


def _run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, day: date | None = None
) -> None:
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=day.isoformat() if day else None
    )
    assert result.success


def _materialised(instance: dg.DagsterInstance) -> set[str]:
    return {key.to_user_string() for key in instance.all_asset_keys() if _there(instance, key)}


def _there(instance: dg.DagsterInstance, key: dg.AssetKey) -> bool:
    return instance.get_latest_materialization_event(key) is not None


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[httpx.Client]:
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(key_maker(workspace)()))
        yield client


def test_its_decisions_lie_in_a_table_and_a_view_of_their_own(workspace: Workspace) -> None:
    with reading(workspace.engine) as connection:
        stored = connection.execute(text("SELECT count(*), min(origin) FROM repeat_orders_scores"))
        latest = connection.execute(
            text("SELECT count(*), min(as_of) = max(as_of) FROM repeat_orders_latest")
        )
        assert tuple(stored.one()) == (80, "backfill")
        assert tuple(latest.one()) == (40, 1)


def test_its_drift_performance_and_value_are_recorded(workspace: Workspace) -> None:
    with reading(workspace.engine) as connection:
        checked = drift.overall(connection, EIGHTH.name)
        measured = performance.over_time(connection, EIGHTH.name, "mae")
        worth = value.newest(connection, EIGHTH.name)[EIGHTH.name]
    assert [one.verdict for one in checked] == ["ok", "ok"]
    assert {one.basis for one in measured} == {"backtest"}
    assert {one.verdict for one in measured} == {"better"}
    assert worth.amount is not None
    assert worth.amount > 0


def test_its_routes_appear_in_openapi_with_its_own_schemas(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    assert {"/api/repeat-orders", "/api/repeat-orders/latest"} <= set(schema["paths"])
    query = schema["components"]["schemas"]["RepeatOrderQuery"]
    assert set(query["properties"]) == {"client_id", "revenue_30d"}
    assert query["additionalProperties"] is False
    row = schema["components"]["schemas"]["StoredRepeatOrder"]
    assert {"buyer_id", "expected_revenue", "active", "as_of"} <= set(row["properties"])


def test_latest_gives_the_stored_decisions_over_http(client: httpx.Client) -> None:
    answer = client.get("/api/repeat-orders/latest?limit=1000&sort=-expected_revenue")
    assert answer.status_code == 200
    rows = answer.json()["items"]
    assert len(rows) == 40
    assert {row["as_of"] for row in rows} == {DAY.isoformat()}
    amounts = [row["expected_revenue"] for row in rows]
    assert amounts == sorted(amounts, reverse=True)


def test_post_answers_from_stored_features_and_with_a_what_if(client: httpx.Client) -> None:
    stored = client.get("/api/repeat-orders/latest/c07").json()["items"][0]
    by_id = client.post("/api/repeat-orders", json={"client_id": "c07"}).json()
    assert by_id["decisions"][0]["expected_revenue"] == stored["expected_revenue"]
    assert by_id["model_version"] == stored["model_version"]
    what_if = client.post(
        "/api/repeat-orders", json={"client_id": "c07", "revenue_30d": 9e4}
    ).json()
    assert what_if["inputs"]["given"] == ["revenue_30d"]
    assert what_if["inputs"]["stored"] == ["revenue_365d", "revenue_90d"]
    assert what_if["decisions"][0]["expected_revenue"] != stored["expected_revenue"]


def test_a_detail_that_is_no_number_reaches_nobody_as_nan(client: httpx.Client) -> None:
    answer = client.post("/api/repeat-orders", json={"client_id": "c07"})
    assert "NaN" not in answer.text
    assert answer.json()["detail"] == {"share_of_year": None}


def test_it_is_listed_beside_the_seven(client: httpx.Client) -> None:
    models: list[dict[str, Any]] = client.get("/api/models").json()["items"]
    assert [row["model"] for row in models][-1] == "repeat_orders"
    assert len(models) == 8
    assert models[-1]["status"] == "scored"
    assert models[-1]["rows_scored"] == 40


def test_it_is_one_file_that_no_line_of_the_project_names() -> None:
    project = Path(__file__).resolve().parents[2]
    for package in ("ml", "assets", "orchestration", "api", "warehouse"):
        for path in (project / package).rglob("*.py"):
            assert "repeat_orders" not in path.read_text(encoding="utf-8"), path
