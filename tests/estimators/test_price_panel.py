"""Invoice lines to a panel, and the elasticities that come out of it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from ml.estimators.price_panel import learn_from_panel, panel_controls, price_panel


def _lines(seed: int, elasticity: float, months: int = 24) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines of clients with agreed prices that change now and then; some prices are mistakes."""
    rng = np.random.default_rng(seed)
    rows = []
    starts = pd.date_range("2024-01-01", periods=months, freq="MS")
    for client in range(60):
        size = rng.normal(0, 0.6)
        agreed = np.repeat(np.exp(rng.normal(0, 0.12, months // 6 + 1)), 6)[:months]
        for month, start in enumerate(starts):
            for _ in range(rng.poisson(1.2)):
                demand = 0.4 * np.sin(2 * np.pi * month / 12)
                price = 100 * agreed[month]
                quantity = 5 * np.exp(
                    size + elasticity * np.log(agreed[month]) + demand + rng.normal(0, 0.3)
                )
                if rng.random() < 0.01:
                    price = price * rng.uniform(0.3, 0.8)
                day = start + pd.Timedelta(days=int(rng.integers(0, 28)))
                rows.append((f"C{client}", "S1", day, quantity, round(price, 2)))
    columns = ["client_id", "service_id", "issued_on", "quantity", "unit_price"]
    clients = pd.DataFrame({"client_id": [f"C{c}" for c in range(60)], "segment": "small"})
    return pd.DataFrame(rows, columns=columns), clients


def test_panel_recovers_the_elasticity_of_invoice_lines() -> None:
    lines, clients = _lines(5, -1.4)
    panel = price_panel(lines, clients)
    model = learn_from_panel(panel)
    assert model.elasticity_[("S1", "small")] == pytest.approx(-1.4, abs=0.25)
    assert panel.attrs["excluded"]["prices that look like mistakes"] > 0


def test_panel_leaves_out_credits_and_free_lines() -> None:
    lines, clients = _lines(5, -1.4, months=6)
    extra = lines.head(2).assign(quantity=[-1.0, 3.0], unit_price=[10.0, 0.0])
    panel = price_panel(pd.concat([lines, extra]), clients)
    assert panel.attrs["excluded"]["credits and free lines"] == 2
    assert panel["lines"].sum() + panel.attrs["excluded"]["prices that look like mistakes"] == len(
        lines
    )


def test_panel_uses_quarters_where_all_pay_one_list() -> None:
    lines, clients = _lines(5, -1.4)
    lines["unit_price"] = 100.0 + lines["issued_on"].dt.month
    controls = panel_controls(price_panel(lines, clients))
    assert controls["time"].nunique() == 8
    own = panel_controls(price_panel(_lines(5, -1.4)[0], clients))
    assert own["time"].nunique() == 24


@pytest.mark.long
@pytest.mark.parametrize("seed", [4, 7])
def test_planted_elasticities_of_the_sample_firm_are_covered(seed: int) -> None:
    from warehouse.sources.sample.firm import SampleFirm

    firm = SampleFirm(clients=1000, seed=seed, end=dt.date(2026, 10, 31))
    lines, clients = (firm.table(name).to_pandas() for name in ("invoice_lines", "clients"))
    table = learn_from_panel(price_panel(lines, clients)).table_
    truth = firm.truth()["elasticities"].to_pandas().set_index(["service_id", "segment"])
    table = table.join(truth["elasticity"].rename("truth"))
    answered = table[table["status"] == "ok"]
    covered = (answered["low"] <= answered["truth"]) & (answered["truth"] <= answered["high"])
    assert 0.70 <= covered.mean() <= 0.95
    assert 1 - len(answered) / len(table) <= 0.30
    assert (answered["high"] - answered["low"]).median() <= 1.0
