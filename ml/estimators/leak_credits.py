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

from ml.estimators.leak_groups import Codes, group_codes, packed

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


def fit_habits(lines: Codes) -> CreditHabits:
    """Learn share and delay of double credits from the lines themselves, in the order entered."""
    credit = lines.quantity < 0
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


def credit_view(lines: Codes, habits: CreditHabits) -> CreditView:
    """The lines with negative quantity, in their order, beside what is known of their like."""
    credits = lines.quantity < 0
    at = np.nonzero(credits)[0]
    if not len(at):
        none = np.zeros(0)
        return CreditView(at, at, none, none, none, np.zeros(0, dtype=bool))
    # Only lines of a client and item that had a credit are like one.
    pair = packed(lines.client, lines.service)
    alike = np.nonzero(np.isin(pair, np.unique(pair[at])))[0]
    near = lines.take(alike)
    credit, place = credits[alike], np.searchsorted(alike, at)
    item = group_codes(pair[alike])
    size = group_codes(np.round(np.abs(near.quantity) * 1e4).astype(np.int64))
    exact = group_codes(item, size, np.round(near.price * 1e4).astype(np.int64))
    twin, so_far = _previous(exact, near.day, place)
    sales = _sales_before(exact, near.day, credit)[place]
    before = np.maximum(twin, 0)
    days = np.where(twin >= 0, near.day[place] - near.day[before], 0).astype(np.float64)

    span = max(int(lines.day.max()) - int(lines.day.min()), 30)
    of_client = lines.client[at]
    credits_of = np.bincount(of_client)[of_client].astype(np.float64)
    sales_of = np.bincount(lines.client)[of_client] - credits_of
    per_sale = (credits_of + 5 * habits.credits_per_sale) / (sales_of + 5)
    commonness = np.bincount(size[place])[size[place]] / len(at)
    left = np.maximum(sales - so_far - 1, 0)
    of_item = np.bincount(item[~credit], minlength=int(item.max()) + 1)[item[place]]
    like_it = left + np.maximum(of_item, 1.0) * commonness
    return CreditView(
        at=at,
        twin=np.where(twin >= 0, alike[before], -1),
        days=days,
        sales=sales,
        honest_rate=np.minimum(per_sale, 3.0) / span * like_it,
        same_invoice=(twin >= 0) & (near.invoice[before] == near.invoice[place]),
    )


def _same_day(lines: Codes) -> float:
    """The share of lines that repeat another of the client, item, day and sign: sales that are
    identical, credits that are not (identical ones are in question)."""
    day = packed(lines.client, lines.service, lines.day)
    sale = lines.quantity > 0
    shares = [0.001]
    if sale.any():
        shares.append(int(_repeated(day, lines, sale)[1].sum()) / int(sale.sum()))
    if not sale.all():
        again, identical = _repeated(day, lines, ~sale)
        shares.append(int((again & ~identical).sum()) / int((~sale).sum()))
    return max(shares)


def _repeated(day: np.ndarray, lines: Codes, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the chosen lines that share client, item and day with another: whether one before it does,
    and whether one before it is the same in quantity and price too."""
    at = np.nonzero(chosen)[0]
    key = day[at]
    ordered = np.sort(key)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    at = at[np.isin(key, twice)]
    table = pd.DataFrame({"day": day[at], "quantity": lines.quantity[at], "price": lines.price[at]})
    return table.duplicated("day").to_numpy(), table.duplicated().to_numpy()


def _previous(group: np.ndarray, day: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row before each credit in its group, -1 where none, and how many came before it."""
    sorted_ = np.lexsort((day[at], group[at]))
    groups = group[at][sorted_]
    fresh = np.r_[True, groups[1:] != groups[:-1]]
    place = np.arange(len(at))
    starts = np.maximum.accumulate(np.where(fresh, place, 0))
    twin, count = np.empty(len(at), dtype=np.int64), np.empty(len(at))
    twin[sorted_] = np.where(fresh, -1, at[sorted_][place - 1])
    count[sorted_] = place - starts
    return twin, count


def _sales_before(group: np.ndarray, day: np.ndarray, credit: np.ndarray) -> np.ndarray:
    """How many sales of the group came before each row; on one day sales come first."""
    sorted_ = np.lexsort((credit, day, group))
    groups, sale = group[sorted_], (~credit[sorted_]).astype(np.float64)
    running = np.cumsum(sale) - sale
    fresh = np.r_[True, groups[1:] != groups[:-1]]
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(groups)), 0))
    out = np.empty(len(group))
    out[sorted_] = running - running[starts]
    return out
