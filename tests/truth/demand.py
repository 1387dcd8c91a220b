"""Demand: is the forecast of each service better than the same week of last year?

Rolling origin: twelve weeks ahead from two past days, by a model that learned on the first of
them. The oracle knows what came; a truth without noise is not kept by the sample firm. Among 2,000
clients: the fewer they are, the more of a week is chance that nobody can foresee.
"""

from __future__ import annotations

import pandas as pd

from ml.methods.demand import ORIGINS
from ml.methods.demand_data import demand_panel
from tests.truth.firms import Firm, Firms
from tests.truth.lines import Figures

CLIENTS = 2000


def model(firms: Firms, seed: int) -> Figures:
    """The method as production wires it."""
    return _figures(_judged(firms.get(seed, CLIENTS)))


def oracle(firms: Firms, seed: int) -> Figures:
    """What came."""
    judged = _judged(firms.get(seed, CLIENTS))
    return _figures(judged.assign(expected_quantity=judged["outcome"]))


def shuffled(firms: Firms, seed: int) -> Figures:
    """The method on lines whose service and day stand elsewhere, judged by what came."""
    firm = firms.get(seed, CLIENTS)
    method = firm.method("demand")
    data = firm.shuffled({"invoice_lines": ["service_id", "issued_on"]})
    weeks = demand_panel(firm.data, firm.end).frame["ds"].drop_duplicates().sort_values()
    ahead = ORIGINS * firm.workspace.ml.demand_weeks
    day = (weeks.iloc[-ahead] - pd.Timedelta(days=1)).date()
    fitted = method.learn(data, day)
    said = method.decide(fitted, method.inputs(data, [day])[day], day, "none").assign(as_of=day)
    judged = method.judge(fitted, firm.data, said, firm.end)
    assert judged is not None
    return _figures(judged.frame)


def _judged(firm: Firm) -> pd.DataFrame:
    judged = firm.method("demand").backtest(firm.data, firm.end)
    assert judged is not None
    return judged.frame


def _figures(judged: pd.DataFrame) -> Figures:
    ours, naive = (
        ((judged["outcome"] - judged[name]).abs() / judged["scale"])
        .groupby(judged["series_id"])
        .mean()
        for name in ("expected_quantity", "baseline")
    )
    return {
        "series_better_than_naive": float((ours < naive).mean()),
        "mean_mase": float(ours.mean()),
        "naive_mase": float(naive.mean()),
    }
