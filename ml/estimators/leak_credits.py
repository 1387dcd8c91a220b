"""Which credits were given twice: how likely is an identical one, so soon, by chance?

A second, identical credit of the same client, item, quantity and price is either a mistake, which
comes after a geometric number of days, or another honest credit. The rate of honest ones follows
from the client's credits per sale, the sales of that very quantity that are left to credit, and
how common the quantity is. Share and delay of the mistakes are fitted by EM: no labels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ml.estimators.leak_neighbours import group_codes

_ROUNDS = 60


@dataclass(frozen=True)
class CreditHabits:
    """What was fitted: how many credits are given twice, how soon, and how common credits are."""

    share_twice: float = 0.02
    mean_days: float = 14.0
    credits_per_sale: float = 0.02
    same_day: float = 0.005

    def to_dict(self) -> dict[str, float]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True)
class CreditView:
    """Of each credit: ``at`` its position among the lines, ``twin`` the position of the identical
    credit before it (-1: none), ``days`` between them, ``sales`` of the same client, item, quantity
    and price until then, ``honest_rate`` chance a day of an honest identical one, ``same_invoice``
    whether both stand on one invoice."""

    at: np.ndarray
    twin: np.ndarray
    days: np.ndarray
    sales: np.ndarray
    honest_rate: np.ndarray
    same_invoice: np.ndarray


def fit_habits(lines: pd.DataFrame) -> CreditHabits:
    """Learn share and delay of double credits from the lines themselves.

    ``lines`` has the integer columns client, service, invoice, day, order (of entry) and the floats
    quantity, unit_price.
    """
    credit = lines["quantity"].to_numpy() < 0
    sales = max(int((~credit).sum()), 1)
    habits = CreditHabits(
        credits_per_sale=float(max(credit.sum(), 1) / sales), same_day=_same_day(lines)
    )
    view = credit_view(lines, habits)
    if not len(view.at):
        return habits
    share, mean = habits.share_twice, habits.mean_days
    for _ in range(_ROUNDS):
        habits = CreditHabits(share, mean, habits.credits_per_sale, habits.same_day)
        weight = double_probability(view, habits)
        # Two made-up mistakes a hundred credits, fourteen days late, keep small firms steady.
        share = float(np.clip((weight.sum() + 2) / (len(view.at) + 100), 1e-4, 0.5))
        days = np.maximum(view.days, 1.0)
        mean = float(np.clip(((weight * days).sum() + 28) / (weight.sum() + 2), 1.1, 60.0))
    return habits


def double_probability(view: CreditView, habits: CreditHabits) -> np.ndarray:
    """Chance that each credit repeats the one before it by mistake, shape (credits,)."""
    stop = 1.0 / habits.mean_days
    late = stop * (1.0 - stop) ** (np.maximum(view.days, 1.0) - 1.0)
    mistaken = habits.share_twice * np.where(view.days >= 1, late, 0.2 * stop)
    # On one day a return is now and then simply split, as other lines of that day show.
    honest = view.honest_rate + np.where(view.days < 1, habits.same_day, 0.0)
    chance = mistaken / (mistaken + honest)
    return np.where((view.twin >= 0) & ~view.same_invoice, chance, 0.0)


def credit_view(lines: pd.DataFrame, habits: CreditHabits) -> CreditView:
    """The lines with negative quantity, in their order, beside what is known of their like."""
    quantity = lines["quantity"].to_numpy(dtype=np.float64)
    credit = quantity < 0
    at = np.nonzero(credit)[0]
    if not len(at):
        none = np.zeros(0)
        return CreditView(at, at, none, none, none, np.zeros(0, dtype=bool))
    day, order = lines["day"].to_numpy(), lines["order"].to_numpy()
    client, invoice = lines["client"].to_numpy(), lines["invoice"].to_numpy()
    size = np.unique(np.round(np.abs(quantity) * 1e4), return_inverse=True)[1]
    cents = np.round(lines["unit_price"].to_numpy(dtype=np.float64) * 1e4).astype(np.int64)
    item = group_codes(client, lines["service"].to_numpy())
    exact = group_codes(item, size, cents)
    twin, so_far = _previous(exact, day, order, at)
    days = np.where(twin >= 0, day[at] - day[np.maximum(twin, 0)], 0).astype(np.float64)
    sales = _sales_before(exact, day, order, credit)[at]

    span = max(int(day.max() - day.min()), 30)
    credits_of, sales_of = _count(client, credit), _count(client, ~credit)
    per_sale = (credits_of + 5 * habits.credits_per_sale)[at] / (sales_of[at] + 5)
    commonness = np.bincount(size[at], minlength=size.max() + 1)[size[at]] / len(at)
    left = np.maximum(sales - so_far - 1, 0)
    like_it = left + np.maximum(_count(item, ~credit)[at], 1) * commonness
    return CreditView(
        at=at,
        twin=twin,
        days=days,
        sales=sales,
        honest_rate=np.minimum(per_sale, 3.0) / span * like_it,
        same_invoice=(twin >= 0) & (invoice[np.maximum(twin, 0)] == invoice[at]),
    )


def _count(group: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.bincount(group[rows], minlength=int(group.max()) + 1)[group].astype(np.float64)


def _same_day(lines: pd.DataFrame) -> float:
    """The share of lines that repeat another of the client, item, day and sign: sales that are
    identical, credits that are not (identical ones are in question)."""
    keys = ["client", "service", "day"]
    sale = lines["quantity"] > 0
    alike = [*keys, "quantity", "unit_price"]
    shares = [
        (lines[sale].duplicated(alike)).mean(),
        (lines[~sale].duplicated(keys) & ~lines[~sale].duplicated(alike)).mean(),
    ]
    return float(np.nanmax([*shares, 0.001]))


def _previous(
    group: np.ndarray, day: np.ndarray, order: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The row before each credit in its group, -1 where none, and how many came before it."""
    sorted_ = np.lexsort((order[at], day[at], group[at]))
    groups = group[at][sorted_]
    fresh = np.r_[True, groups[1:] != groups[:-1]]
    place = np.arange(len(at))
    starts = np.maximum.accumulate(np.where(fresh, place, 0))
    twin, count = np.empty(len(at), dtype=np.int64), np.empty(len(at))
    twin[sorted_] = np.where(fresh, -1, at[sorted_][place - 1])
    count[sorted_] = place - starts
    return twin, count


def _sales_before(
    group: np.ndarray, day: np.ndarray, order: np.ndarray, credit: np.ndarray
) -> np.ndarray:
    """How many sales of the group came before each row; on one day sales come first."""
    sorted_ = np.lexsort((order, credit, day, group))
    groups, sale = group[sorted_], (~credit[sorted_]).astype(np.float64)
    running = np.cumsum(sale) - sale
    fresh = np.r_[True, groups[1:] != groups[:-1]]
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(groups)), 0))
    out = np.empty(len(group))
    out[sorted_] = running - running[starts]
    return out
