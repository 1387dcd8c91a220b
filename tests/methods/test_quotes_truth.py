"""Pricing from quotes alone on sample firms, where urgency that no column shows moves the price."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ml.lifecycle.workspace import Workspace
from ml.methods.price_evidence import KEYS
from warehouse.settings import WarehouseSettings
from warehouse.sources.sample import SampleFirm

END = dt.date(2026, 9, 30)


def _truth(firm: SampleFirm) -> pd.Series:
    """Elasticity of winning by service and segment, of a group's newest offers at their prices.

    The truth's curve is 1 - exp(-exp(level - sensitivity x log price ratio)), so an offer won with
    chance p has elasticity sensitivity x log(1 - p) (1 - p) / p.
    """
    truth = firm.truth()
    quotes = firm.table("quotes").to_pandas().merge(truth["quotes"].to_pandas(), on="quote_id")
    clients = firm.table("clients").to_pandas()[["client_id", "segment"]]
    curves = truth["win_curves"].to_pandas()
    rows = quotes.merge(clients, on="client_id").merge(curves, on=KEYS).sort_values("quoted_on")
    chance = rows["win_probability"]
    rows["moved"] = rows["sensitivity"] * np.log1p(-chance) * (1 - chance)
    newest = rows.groupby(KEYS).tail(40)
    sums = newest.groupby(KEYS)[["moved", "win_probability"]].sum()
    return (sums["moved"] / sums["win_probability"]).rename("truth")


@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 7])
def test_intervals_from_quotes_alone_hold_the_truth(seed: int, tmp_path: Path) -> None:
    firm = SampleFirm(clients=1000, seed=seed, end=END)
    for name in ("quotes", "clients", "services", "rates"):
        pq.write_table(firm.table(name), tmp_path / f"{name}.parquet")
    workspace = Workspace.open(
        WarehouseSettings(home=tmp_path / "home", source=f"folder:{tmp_path}")
    )
    workspace.ingest("truth")
    method, data = workspace.method(workspace.registry["pricing"]), workspace.snapshot()
    said = method.decide(method.learn(data, END), method.inputs(data, [END])[END], END, "none")
    workspace.engine.dispose()
    known = said.merge(_truth(firm).reset_index(), on=KEYS)
    known = known[known["elasticity"].notna()]
    low, high = known["elasticity_low"].astype(float), known["elasticity_high"].astype(float)
    assert known["truth"].between(low, high).mean() >= 0.75
    assert known["elasticity"].mean() == pytest.approx(known["truth"].mean(), abs=0.6)
    assert (high - low).median() <= 3.0
    recommended = known[known["status"] == "recommended"]
    assert 0 < len(recommended) < len(known) / 2
