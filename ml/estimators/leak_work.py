"""Billable work that no line names: in a neighbour's line, billed late, or forgotten?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ml.estimators.leak_prices import contracted

_LOOK_DAYS = 45
_TOLERANCE = 0.02


@dataclass(frozen=True)
class BillingHabits:
    """How soon the firm bills its work: ``days`` from work to invoice that 99 % keep (0 where it
    bills before), and whether entries name their lines at all (``links``)."""

    days: int = 30
    links: bool = True

    def to_dict(self) -> dict[str, float]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True)
class WorkView:
    """Of each work entry: ``score`` the chance that it was never billed, and what explains it.

    ``covered_by`` and ``billed_by`` are positions among the lines (-1: none): a line whose quantity
    holds this entry too, and a line without work of its own that bills just this quantity.
    """

    score: np.ndarray
    covered_by: np.ndarray
    billed_by: np.ndarray
    waiting: np.ndarray


def fit_billing(work: pd.DataFrame | None, lines: pd.DataFrame) -> BillingHabits:
    """Learn the delay between work and invoice from the entries that name their line.

    ``work`` has day, line_id (missing: none), billable; ``lines`` has line_id and day.
    """
    if work is None or work.empty:
        return BillingHabits()
    billable = work[work["billable"]]
    linked = billable[billable["line_id"].notna()]
    if len(linked) < 0.5 * len(billable) or linked.empty:
        return BillingHabits(links=False)
    issued = linked["line_id"].map(_first_day(lines)).to_numpy(dtype=np.float64)
    delay = (issued - linked["day"].to_numpy())[np.isfinite(issued)]
    if len(delay) < 20:
        return BillingHabits()
    return BillingHabits(int(max(np.ceil(np.quantile(delay, 0.99)), 0)), True)


def _first_day(lines: pd.DataFrame) -> pd.Series:
    return lines.drop_duplicates("line_id").set_index("line_id")["day"]


def work_view(
    work: pd.DataFrame, lines: pd.DataFrame, habits: BillingHabits, today: int
) -> WorkView:
    """Judge each entry; ``today`` is the last day known, as days since 1970.

    ``work`` has client_id, service_id, day, quantity, billable, line_id; ``lines`` has line_id,
    client_id, service_id, day, quantity.
    """
    open_ = (work["billable"] & work["line_id"].isna()).to_numpy()
    covered, billed = np.full(len(work), -1), np.full(len(work), -1)
    waiting = today - work["day"].to_numpy()
    if open_.any() and len(lines):
        covered, billed = _explain(work, lines, open_, habits)
    score = np.where(open_, 0.97, 0.0)
    score = np.where(covered >= 0, 0.03, score)
    lately = np.zeros(len(work), dtype=bool)
    found = billed >= 0
    line_day = lines["day"].to_numpy()
    lately[found] = line_day[billed[found]] - work["day"].to_numpy()[found] <= habits.days
    score = np.where(found & lately & open_, 0.1, score)
    # Work is not forgotten before the time that the firm takes to bill it.
    score = np.where(waiting < habits.days, score * 0.1, score)
    return WorkView(np.where(open_, score, 0.0), covered, billed, waiting)


def _explain(
    work: pd.DataFrame, lines: pd.DataFrame, open_: np.ndarray, habits: BillingHabits
) -> tuple[np.ndarray, np.ndarray]:
    named = work[work["line_id"].notna()].groupby("line_id")["quantity"].sum()
    sales = pd.DataFrame(
        {
            "client_id": lines["client_id"],
            "service_id": lines["service_id"],
            "line_day": lines["day"].to_numpy(),
            "line_quantity": lines["quantity"].to_numpy(dtype=np.float64),
            "line": np.arange(len(lines)),
            "worked": lines["line_id"].map(named).fillna(0.0).to_numpy(dtype=np.float64),
        }
    )
    sales = sales[sales["line_quantity"] > 0]
    entries = work.loc[open_, ["client_id", "service_id", "day", "quantity"]]
    entries = entries.assign(entry=np.nonzero(open_)[0])
    pairs = entries.merge(sales, on=["client_id", "service_id"])
    after = pairs["line_day"] - pairs["day"]
    rest = pairs["line_quantity"] - pairs["worked"] - pairs["quantity"]
    fits = rest.abs() <= _TOLERANCE * pairs["line_quantity"] + 1e-6
    if not habits.links:
        fits = rest >= -_TOLERANCE * pairs["line_quantity"]
    shares_line = fits & (pairs["worked"] > 0) & (after.abs() <= _LOOK_DAYS)
    alone = fits & (pairs["worked"] == 0) & (after >= -_LOOK_DAYS)
    near = pairs.assign(apart=after.abs()).sort_values(["apart", "line"], kind="stable")
    return (
        _first(near[shares_line.reindex(near.index)], len(work)),
        _first(near[alone.reindex(near.index)], len(work)),
    )


def _first(pairs: pd.DataFrame, rows: int) -> np.ndarray:
    out = np.full(rows, -1)
    best = pairs.drop_duplicates("entry")
    out[best["entry"].to_numpy()] = best["line"].to_numpy()
    return out


def work_price(
    entries: pd.DataFrame, lines: pd.DataFrame, rates: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray]:
    """What a unit of each entry should cost, and the index in ``SOURCES`` of where it is from.

    The rate of the day worked, else the client's last price of the service until then, else the
    median price of the service; NaN where it was never sold.
    """
    agreed = contracted(entries, rates)
    price = agreed.price.copy()
    source = np.where(np.isfinite(price), np.where(agreed.own, 1, 2), 0)
    sold = lines[(lines["quantity"] > 0) & (lines["unit_price"] > 0)]
    history = sold[["client_id", "service_id", "day", "unit_price"]].sort_values(
        "day", kind="stable"
    )
    left = entries[["client_id", "service_id", "day"]].assign(at=np.arange(len(entries)))
    left = left.sort_values("day", kind="stable")
    found = pd.merge_asof(left, history, on="day", by=["client_id", "service_id"]).sort_values("at")
    own = found["unit_price"].to_numpy(dtype=np.float64)
    median = sold.groupby("service_id")["unit_price"].median()
    usual = entries["service_id"].map(median).to_numpy(dtype=np.float64)
    for code, values in ((3, own), (5, usual)):
        fill = ~np.isfinite(price) & np.isfinite(values)
        price, source = np.where(fill, values, price), np.where(fill, code, source)
    return price, source
