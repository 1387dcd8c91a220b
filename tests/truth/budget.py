"""Budget: is each channel's contribution right, and what is the proposed split really worth?

Contributions are those of the last year. The split is the answer to "this much a week, as you
like": the total of the last quarter's mean, without bounds, valued by the true response to steady
spend. 0 is the gain of the last quarter's split, 1 that of the true optimum.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ml.methods.budget import current_amounts
from ml.models.budget import BudgetQuery
from ml.serving.base import Asked
from tests.serving.asking import of_fitted
from tests.truth.firms import Firm, Firms
from tests.truth.lines import Figures
from warehouse.snapshot import Snapshot

WEEKS = 52


def model(firms: Firms, seed: int) -> Figures:
    """The method as production wires it."""
    firm = firms.get(seed)
    return _figures(firm, *_answer(firm, firm.data))


def oracle(firms: Firms, seed: int) -> Figures:
    """The true contributions and the true optimum."""
    firm = firms.get(seed)
    total = sum(_current(firm).values())
    return _figures(firm, _contributions(firm), firm.oracle.optimal_split(total))


def shuffled(firms: Firms, seed: int) -> Figures:
    """The method on an outcome whose weeks changed places."""
    firm = firms.get(seed)
    return _figures(firm, *_answer(firm, firm.shuffled({"series": ["value"]})))


def _answer(firm: Firm, data: Snapshot) -> tuple[dict[str, float], dict[str, float]]:
    method = firm.method("budget")
    fitted = method.learn(data, firm.end)
    query = BudgetQuery(total=round(sum(_current(firm).values()), 2), periods=1)
    said = of_fitted(method.spec, fitted).answer(Asked(query, None, firm.end)).decisions
    return (
        {row["channel"]: row["contribution"] for row in said},
        {row["channel"]: row["recommended_amount"] for row in said},
    )


def _current(firm: Firm) -> dict[str, float]:
    spend = firm.method("budget").inputs(firm.data, [firm.end])[firm.end]["spend"]
    return {str(name): float(amount) for name, amount in current_amounts(spend).items()}


def _contributions(firm: Firm) -> dict[str, float]:
    weeks = pd.Series(sorted(firm.truth["contributions"]["period"].unique())).tail(WEEKS)
    return firm.oracle.contributions(since=weeks.iloc[0])


def _figures(firm: Firm, said: Mapping[str, float], split: Mapping[str, float]) -> Figures:
    truth, current = _contributions(firm), _current(firm)
    before = firm.oracle.response(current)
    best = firm.oracle.response(firm.oracle.optimal_split(sum(current.values())))
    return {
        "largest_error": max(abs(said[name] / truth[name] - 1) for name in truth),
        "share_of_possible_gain": (firm.oracle.response(split) - before) / (best - before),
        "possible_gain": best / before - 1,
    }
