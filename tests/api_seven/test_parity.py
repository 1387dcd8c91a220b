"""An on-demand answer about what is stored is the stored decision, to the last bit."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ml.lifecycle.workspace import Workspace
from ml.models import default_registry

SPECS = default_registry()


def stored(client: httpx.Client, model: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(
        f"/api/{SPECS[model].route}/latest", params={"limit": 1000, **params}
    ).json()["items"]
    assert found
    return found


def on_demand(client: httpx.Client, model: str, queries: list[dict[str, Any]]) -> list[Any]:
    """The decisions on each query; asked one by one and as a batch, which must be equal."""
    route = f"/api/{SPECS[model].route}"
    one_by_one = [client.post(route, json=query).json() for query in queries]
    batch = client.post(f"{route}/batch", json={"items": queries}).json()["items"]
    assert [item["result"] for item in batch] == one_by_one
    return [answer["decisions"] for answer in one_by_one]


def decided(model: str, row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a stored row that are the decision."""
    return {name: row[name] for name in SPECS[model].Decision.model_fields}


@pytest.mark.parametrize("model", ["churn", "profitability"])
def test_clients(client: httpx.Client, model: str) -> None:
    rows = stored(client, model)
    answers = on_demand(client, model, [{"client_id": row["client_id"]} for row in rows])
    assert answers == [[decided(model, row)] for row in rows]


def test_prices(client: httpx.Client) -> None:
    rows = stored(client, "pricing")
    queries = [{"service_id": row["service_id"], "segment": row["segment"]} for row in rows]
    answers = on_demand(client, "pricing", queries)
    assert answers == [[decided("pricing", row)] for row in rows]


def test_forecasts(client: httpx.Client) -> None:
    rows = stored(client, "demand")
    names = sorted({row["series_id"] for row in rows})[:4]
    answers = on_demand(client, "demand", [{"series_id": name, "horizon": 12} for name in names])
    for name, decisions in zip(names, answers, strict=True):
        assert decisions == [decided("demand", r) for r in rows if r["series_id"] == name]


def test_the_split_of_the_stored_total_within_its_bounds(
    client: httpx.Client, seven: Workspace
) -> None:
    rows = stored(client, "budget")
    shift = seven.ml.max_budget_shift
    total = round(sum(row["current_amount"] for row in rows), 2)
    bounds = {
        row["channel"]: {
            "low": round(row["current_amount"] * (1 - shift), 2),
            "high": round(row["current_amount"] * (1 + shift) + 0.01, 2),
        }
        for row in rows
    }
    [decisions] = on_demand(client, "budget", [{"total": total, "bounds": bounds}])
    by_channel = {row["channel"]: decided("budget", row) for row in rows}
    assert {one["channel"]: one for one in decisions} == by_channel


def test_observations_of_a_series(client: httpx.Client) -> None:
    rows = stored(client, "anomaly", subject_kind="series")
    names = sorted({row["subject_id"] for row in rows})[:5]
    queries = [
        {
            "series_id": name,
            "observations": [
                {"observed_at": row["observed_at"], "value": row["value"]}
                for row in rows
                if row["subject_id"] == name
            ],
        }
        for name in names
    ]
    for name, decisions in zip(names, on_demand(client, "anomaly", queries), strict=True):
        there = [decided("anomaly", row) for row in rows if row["subject_id"] == name]
        # The stored alert is one of the day's budget over all subjects.
        for row in (*there, *decisions):
            row.pop("is_alert")
        assert decisions == there


def test_items_with_a_leak(client: httpx.Client, seven: Workspace) -> None:
    rows = [row for row in stored(client, "revenue_leak") if row["item_kind"] == "line"][:5]
    lines = seven.snapshot().as_of("invoice_lines", seven.as_of()).to_pandas()
    fields = ["line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price"]
    by_id = lines.set_index("line_id", drop=False)
    queries = [
        {
            "line": {name: _json(by_id.loc[row["item_id"], name]) for name in fields}
            | {"invoice_id": by_id.loc[row["item_id"], "invoice_id"]}
        }
        for row in rows
    ]
    answers = on_demand(client, "revenue_leak", queries)
    for row, [decision] in zip(rows, answers, strict=True):
        assert decision == decided("revenue_leak", row)


def _json(value: Any) -> Any:
    return (
        value.item()
        if hasattr(value, "item")
        else str(value)[:10]
        if hasattr(value, "isoformat")
        else value
    )
