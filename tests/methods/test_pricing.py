"""Prices that look like mistakes, and effects taken out of prices."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.estimators.partial_out import _alternating, demean
from ml.estimators.price_panel import price_panel
from ml.estimators.pricing import PriceResponse
from ml.methods.price_data import current_prices
from ml.models import default_registry
from tests.small_firm import Firm, write_csv


def test_effects_solved_for_equal_effects_iterated() -> None:
    rng = np.random.default_rng(2)
    effects = [rng.integers(0, size, 600) for size in (90, 12, 3)]
    weights = rng.uniform(0.5, 2.0, 600)
    columns = rng.normal(size=(600, 3))
    direct = demean(columns, effects, weights)
    np.testing.assert_allclose(direct, _alternating(columns.copy(), effects, weights), atol=1e-8)
    for codes in effects:
        means = np.bincount(codes, weights=weights * direct[:, 0])
        assert np.abs(means).max() < 1e-8


@pytest.mark.parametrize("seed", [0, 1])
def test_a_lone_price_is_found_beside_its_own_neighbours(seed: int) -> None:
    """Ids in no order, so that rows of one client are not where another's would be."""
    rng = np.random.default_rng(seed)
    rows = []
    for client in rng.permutation(40):
        for month in range(1, 13):
            day = pd.Timestamp(2024, month, 5)
            rows.append((f"c{client}", f"s{client % 3}", day, 1.0, 100.0 + client))
        # A client's only purchase of a service has no neighbour to differ from.
        rows.append((f"c{client}", f"once{client}", pd.Timestamp(2024, 6, 1), 1.0, 900.0))
    names = ["client_id", "service_id", "issued_on", "quantity", "unit_price"]
    lines = pd.DataFrame(rows, columns=names)
    wrong = int(lines.index[(lines["client_id"] == "c7") & lines["issued_on"].dt.month.eq(5)][0])
    lines.loc[wrong, "unit_price"] = 250.0
    panel = price_panel(lines)
    assert panel.attrs["excluded"]["prices that look like mistakes"] == 1
    gone = panel[(panel["client_id"] == "c7") & (panel["period"] == "2024-05-01")]
    assert gone.empty


def test_a_slope_met_exactly_by_one_purchase_is_no_evidence() -> None:
    """Clients each at one price of their own, but one of them once at another."""
    clients = np.repeat([f"c{number}" for number in range(30)], 2)
    price = np.repeat(np.linspace(80.0, 120.0, 30), 2)
    price[7] *= 1.5
    quantity = np.random.default_rng(0).uniform(1.0, 9.0, 60)
    controls = pd.DataFrame({"client": clients})
    model = PriceResponse().fit(price, quantity, controls, clusters=clients)
    assert model.evidence_["status"].tolist() == ["thin_evidence"]


def test_the_current_price_is_of_the_last_quarter_and_the_quantity_of_the_last_year(
    tmp_path: Path,
) -> None:
    day = dt.date(2025, 6, 30)
    sold = [
        (dt.date(2024, 3, 1), 9, 50.0),  # before the year
        (dt.date(2024, 9, 1), 4, 80.0),  # before the last 90 days with sales
        (dt.date(2025, 5, 1), 1, 100.0),
        (dt.date(2025, 6, 1), 3, 120.0),
        (dt.date(2025, 6, 2), -2, 120.0),
    ]
    made = Firm(tmp_path)
    lines = [
        {"line_id": f"L{n}", "client_id": "c1", "service_id": "audit", "issued_on": on}
        | {"quantity": quantity, "unit_price": price, "cost": 60 * quantity}
        for n, (on, quantity, price) in enumerate(sold)
    ]
    write_csv(made.export_folder, "invoice_lines", lines)
    workspace = made.on(day, registry=default_registry())
    workspace.ingest("ingest")
    found = current_prices(workspace.snapshot(), day)
    workspace.engine.dispose()
    assert found.to_dict("records") == [
        {
            "service_id": "audit",
            "segment": "all",
            "current_price": 115.0,
            "yearly_quantity": 8.0,
            "unit_cost": 60.0,
        }
    ]
