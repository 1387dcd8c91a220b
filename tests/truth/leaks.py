"""Leaks: of as many findings as there are open leaks, how many are leaks, and of what worth?

Findings are those of four days, a quarter apart, by a model that learned on the first of them.
K of a day is the number of leaks that happened in the 90 days up to it and were not put right.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd

from tests.truth.firms import Firm, Firms
from tests.truth.lines import Figures
from warehouse.snapshot import Snapshot

DAYS = tuple(91 * back for back in (3, 2, 1, 0))
ITEM = ["item_kind", "item_id"]


def model(firms: Firms, seed: int) -> Figures:
    """The method as production wires it, ranked by its score."""
    firm = firms.get(seed)
    return _figures(firm, _findings(firm, firm.data))


def oracle(firms: Firms, seed: int) -> Figures:
    """The planted leaks, named."""
    firm = firms.get(seed)
    found = {day: _open(firm, day)[ITEM].assign(score=1.0, leak_amount=0.0) for day in _days(firm)}
    return _figures(firm, found)


def shuffled(firms: Firms, seed: int) -> Figures:
    """The method on books whose prices, and links from work to lines, stand elsewhere."""
    firm = firms.get(seed)
    labels = {"invoice_lines": ["unit_price"], "work_entries": ["line_id"]}
    return _figures(firm, _findings(firm, firm.shuffled(labels)))


def _days(firm: Firm) -> list[dt.date]:
    return [firm.end - dt.timedelta(days=back) for back in DAYS]


def _open(firm: Firm, day: dt.date) -> pd.DataFrame:
    horizon = firm.method("revenue_leak").spec.horizon_days
    leaks = firm.oracle.leaks(day - dt.timedelta(days=horizon), day)
    return leaks[leaks["is_open"]]


def _findings(firm: Firm, data: Snapshot) -> dict[dt.date, pd.DataFrame]:
    method, days = firm.method("revenue_leak"), _days(firm)
    fitted = method.learn(data, days[0])
    read = method.inputs(data, days)
    return {day: method.decide(fitted, read[day], day, "none") for day in days}


def _figures(firm: Firm, found: dict[dt.date, pd.DataFrame]) -> Figures:
    planted = hits = 0
    worth = recovered = 0.0
    for day, findings in found.items():
        leaks = _open(firm, day)
        ranked = findings.sort_values(["score", "leak_amount", *ITEM], ascending=False)
        top = ranked.head(len(leaks)).merge(leaks[[*ITEM, "amount"]], on=ITEM)
        planted, hits = planted + len(leaks), hits + len(top)
        worth, recovered = worth + leaks["amount"].sum(), recovered + top["amount"].sum()
    return {
        "leaked_value_found": recovered / worth,
        "precision": hits / planted,
        "planted": planted,
    }
