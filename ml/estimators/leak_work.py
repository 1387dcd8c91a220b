"""Billable work that no line names: in a neighbour's line, billed late, or forgotten?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ml.estimators.leak_frames import first_places, places
from ml.estimators.leak_groups import Codes, packed
from ml.estimators.leak_rates import RateBook

_LOOK_DAYS = 45
_TOLERANCE = 0.02
# Entries that the delay is learned from, the latest: more would not change the day.
_ENOUGH = 200_000


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
    if len(linked) > _ENOUGH:
        latest = np.argsort(linked["day"].to_numpy(), kind="stable")[-_ENOUGH:]
        linked = linked.iloc[np.sort(latest)]
    entry, ids = pd.factorize(linked["line_id"])
    line = first_places(lines["line_id"], pd.Index(ids))[entry]
    delay = (lines["day"].to_numpy()[line] - linked["day"].to_numpy())[line >= 0]
    if len(delay) < 20:
        return BillingHabits()
    return BillingHabits(int(max(np.ceil(np.quantile(delay, 0.99)), 0)), True)


def work_view(
    work: pd.DataFrame,
    client: np.ndarray,
    service: np.ndarray,
    lines: Codes,
    line_ids: pd.Series,
    habits: BillingHabits,
    today: int,
) -> WorkView:
    """Judge each entry; ``today`` is the last day known, as days since 1970.

    ``work`` has day, quantity, billable, line_id; ``client`` and ``service`` are its codes in those
    of ``lines``.
    """
    # An entry that takes work back is nothing to bill.
    open_ = (work["billable"] & work["line_id"].isna() & (work["quantity"] > 0)).to_numpy()
    covered, billed = np.full(len(work), -1), np.full(len(work), -1)
    waiting = today - work["day"].to_numpy()
    if open_.any() and len(lines):
        covered, billed = _explain(work, client, service, lines, line_ids, open_, habits)
    score = np.where(open_, 0.97, 0.0)
    score = np.where(covered >= 0, 0.03, score)
    lately = np.zeros(len(work), dtype=bool)
    found = billed >= 0
    lately[found] = lines.day[billed[found]] - work["day"].to_numpy()[found] <= habits.days
    score = np.where(found & lately & open_, 0.1, score)
    # Work is not forgotten before the time that the firm takes to bill it.
    score = np.where(waiting < habits.days, score * 0.1, score)
    return WorkView(np.where(open_, score, 0.0), covered, billed, waiting)


def _explain(
    work: pd.DataFrame,
    client: np.ndarray,
    service: np.ndarray,
    lines: Codes,
    line_ids: pd.Series,
    open_: np.ndarray,
    habits: BillingHabits,
) -> tuple[np.ndarray, np.ndarray]:
    pair = packed(np.r_[client, lines.client], np.r_[service, lines.service])
    own, theirs = pair[: len(work)][open_], pair[len(work) :]
    near = np.nonzero(np.isin(theirs, np.unique(own)) & (lines.quantity > 0))[0]
    ids = line_ids.iloc[near]
    of, distinct = pd.factorize(ids)
    line = places(work["line_id"], distinct)
    linked = np.nonzero(line >= 0)[0]
    worked = np.bincount(
        line[linked], weights=work["quantity"].to_numpy()[linked], minlength=len(distinct)
    )
    sales = pd.DataFrame(
        {
            "pair": theirs[near],
            "line_day": lines.day[near],
            "line_quantity": lines.quantity[near],
            "line": near,
            "worked": worked[of] if len(near) else np.zeros(0),
        }
    )
    entries = work.loc[open_, ["day", "quantity"]]
    entries = entries.assign(pair=own, entry=np.nonzero(open_)[0])
    pairs = entries.merge(sales, on="pair")
    after = pairs["line_day"] - pairs["day"]
    rest = pairs["line_quantity"] - pairs["worked"] - pairs["quantity"]
    fits = rest.abs() <= _TOLERANCE * pairs["line_quantity"] + 1e-6
    if not habits.links:
        fits = rest >= -_TOLERANCE * pairs["line_quantity"]
    shares_line = fits & (pairs["worked"] > 0) & (after.abs() <= _LOOK_DAYS)
    alone = fits & (pairs["worked"] == 0) & (after >= -_LOOK_DAYS)
    near_first = pairs.assign(apart=after.abs()).sort_values(["apart", "line"], kind="stable")
    return (
        _first(near_first[shares_line.reindex(near_first.index)], len(work)),
        _first(near_first[alone.reindex(near_first.index)], len(work)),
    )


def _first(pairs: pd.DataFrame, rows: int) -> np.ndarray:
    out = np.full(rows, -1)
    best = pairs.drop_duplicates("entry")
    out[best["entry"].to_numpy()] = best["line"].to_numpy()
    return out


def work_price(
    client: np.ndarray, service: np.ndarray, day: np.ndarray, lines: Codes, rates: RateBook
) -> tuple[np.ndarray, np.ndarray]:
    """What a unit of each entry should cost, and the index in ``SOURCES`` of where it is from.

    The rate of the day worked, else the client's last price of the service until then, else the
    median price of the service; NaN where it was never sold. ``client`` and ``service`` are codes.
    """
    agreed = rates.contracted(client, service, day)
    price = agreed.price.copy()
    source = np.where(np.isfinite(price), np.where(agreed.own, 1, 2), 0)
    left = np.nonzero(~np.isfinite(price))[0]
    if not len(left):
        return price, source
    wanted = np.isin(lines.service, np.unique(service[left]))
    sold = lines.take(np.nonzero(wanted & (lines.quantity > 0) & (lines.price > 0))[0])
    history = pd.DataFrame(
        {"client": sold.client, "service": sold.service, "day": sold.day, "price": sold.price}
    )
    entries = pd.DataFrame(
        {"client": client[left], "service": service[left], "day": day[left], "at": left}
    ).astype({name: history[name].dtype for name in ("client", "service", "day")})
    found = pd.merge_asof(
        entries.sort_values("day", kind="stable"),
        history.sort_values("day", kind="stable"),
        on="day",
        by=["client", "service"],
    )
    last = np.full(len(price), np.nan)
    last[found["at"].to_numpy()] = found["price"].to_numpy()
    median = history.groupby("service")["price"].median()
    usual = pd.Series(service).map(median).to_numpy(dtype=np.float64)
    for code, values in ((3, last), (5, usual)):
        fill = ~np.isfinite(price) & np.isfinite(values)
        price, source = np.where(fill, values, price), np.where(fill, code, source)
    return price, source
