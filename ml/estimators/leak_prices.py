"""What each billed line should have cost, and in how many ways it looks cheaper than its like.

The expected price is the contracted rate of the day (the client's own, else everyone's); where
there is none it is what the lines themselves say: the client's own price of the item, else the
price of the item in that quantity around that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ml.estimators.leak_groups import Codes, Groups, distinct, others_mean, packed
from ml.estimators.leak_neighbours import Nearby, Neighbours, Surroundings
from ml.estimators.leak_rates import RateBook, Rates

_NEAR_DAYS = 30
_CLEARLY = 1.02
# Rows looked at together: features of all rows at once would be most of the memory.
_PART = 65_536


#: Features of a positive line, in the order of the matrix.
FEATURES = (
    "to_rate",
    "own_rate",
    "to_client",
    "to_client_least",
    "client_same",
    "client_count",
    "to_tier",
    "to_tier_least",
    "tier_lower",
    "tier_same",
    "tier_count",
    "to_quantity",
    "quantity_same",
    "to_item",
    "item_lower",
    "item_same",
    "item_count",
    "same_price_near",
    "same_price_ever",
    "same_price_clients",
    "to_level_above",
    "to_level_below",
    "invoice_others",
    "log_quantity",
    "log_item_price",
    "item_spread",
)


@dataclass(frozen=True)
class PriceView:
    """Features of shape (rows, len(FEATURES)) beside the expected price and where it is from."""

    features: np.ndarray
    expected: np.ndarray
    source: np.ndarray
    shared_by: np.ndarray
    zero_is_wrong: np.ndarray
    agreed: Rates


SOURCES = (
    "none",
    "client_rate",
    "list_rate",
    "client_history",
    "item_and_quantity",
    "item",
    "price_level",
)


class PriceBook:
    """Positive lines sorted every way in which their prices are compared.

    The look-ups of ``views`` may then be few or all of the lines: every line looked at is compared
    with all the others.
    """

    def __init__(self, lines: Codes, rates: RateBook) -> None:
        self.rates = rates
        tier = np.floor(np.log2(np.maximum(lines.quantity, 1e-6))).astype(np.int64)
        exact = pd.factorize(lines.quantity)[0]
        by_client = Groups(packed(lines.client, lines.service), lines.day)
        by_tier = Groups(packed(lines.service, tier), lines.day)
        by_quantity = Groups(packed(lines.service, exact), lines.day)
        by_item = Groups(lines.service, lines.day)
        self.client = Surroundings(by_client, lines.price, 3)
        self.tier = Surroundings(by_tier, lines.price, 8)
        self.quantity = Surroundings(by_quantity, lines.price, 5)
        self.item = Surroundings(by_item, lines.price, 12)
        self._item_size = np.bincount(lines.service)
        self._invoices = Groups(lines.invoice, np.zeros(len(lines), dtype=np.int32))
        self._at_prices(lines)

    def _at_prices(self, lines: Codes) -> None:
        self.lines = lines
        cents = np.round(lines.price * 1e4).astype(np.int64)
        self._same = Groups(packed(lines.service, cents), lines.day)
        self._near = Nearby(self._same, lines.day, _NEAR_DAYS)
        self._same_size = self._same.sizes()
        self._free = np.nonzero(lines.price <= 0)[0]
        self._clients = distinct(self._same, lines.client)
        self._levels = _Levels(lines, self._same, self._clients)

    def priced(self, price: np.ndarray) -> PriceBook:
        """The same lines at other prices; what does not hang on prices is shared."""
        other = object.__new__(PriceBook)
        other.__dict__.update(self.__dict__)
        for name in ("client", "tier", "quantity", "item"):
            setattr(other, name, getattr(self, name).priced(price))
        other._at_prices(replace(self.lines, price=price))
        return other

    def features(self, rows: np.ndarray) -> np.ndarray:
        """The features of these lines, shape (rows, len(FEATURES))."""
        out = np.empty((len(rows), len(FEATURES)))
        for at, view in self.views(rows):
            out[at] = view.features
        return out

    def views(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, PriceView]]:
        """The lines of these positions, some at a time: where they stand in ``rows``, and the view.

        Lines of an invoice come together, since each is compared with the others on it.
        """
        at = np.full(len(self.lines), -1, dtype=np.int32)
        at[rows] = np.arange(len(rows), dtype=np.int32)
        starts = self._invoices.starts
        asked = np.zeros(len(starts) - 1, dtype=bool)
        asked[self._invoices.of(rows)] = True
        sizes = np.diff(starts)
        beside = self._invoices.order[np.repeat(asked, sizes)]
        ends = np.cumsum(sizes[asked])
        first = 0
        while first < len(beside):
            # whole invoices only
            last = int(ends[min(int(np.searchsorted(ends, first + _PART)), len(ends) - 1)])
            part = beside[first:last]
            mine = at[part] >= 0
            yield at[part[mine]], self._view(part, mine)
            first = last

    def _view(self, beside: np.ndarray, mine: np.ndarray) -> PriceView:
        """The view of those rows of ``beside`` that are marked; the rest stand on invoices."""
        book, rows = self.lines, beside[mine]
        agreed = self.rates.contracted(book.client[beside], book.service[beside], book.day[beside])
        tier = self.tier.of(beside)
        with np.errstate(divide="ignore", invalid="ignore"):
            price = book.price[beside]
            usual = np.where(np.isfinite(agreed.price), agreed.price, tier.middle)
            relative = np.log(np.where(price > 0, price, np.nan) / usual)
        invoice = book.invoice[beside]
        number = np.cumsum(np.r_[0, invoice[1:] != invoice[:-1]])
        invoice_others = others_mean(number, relative)[mine]
        agreed, tier = agreed.take(mine), tier.take(mine)
        price, quantity, service = book.price[rows], book.quantity[rows], book.service[rows]
        client, exact, item = self.client.of(rows), self.quantity.of(rows), self.item.of(rows)
        same = self._same.of(rows)
        clients = self._clients[same] - 1.0
        above, below = self._levels.around(service, price)
        expected, source = _expected(price, agreed, client.middle, tier, item.middle, above)
        with np.errstate(divide="ignore", invalid="ignore"):
            safe = np.where(price > 0, price, np.nan)
            columns = {
                "to_rate": np.log(safe / agreed.price),
                "own_rate": np.where(np.isfinite(agreed.price), agreed.own, np.nan),
                "to_client": np.log(safe / client.middle),
                "to_client_least": np.log(safe / client.least),
                "client_same": client.share_same,
                "client_count": client.count,
                "to_tier": np.log(safe / tier.middle),
                "to_tier_least": np.log(safe / tier.least),
                "tier_lower": tier.share_lower,
                "tier_same": tier.share_same,
                "tier_count": tier.count,
                "to_quantity": np.log(safe / exact.middle),
                "quantity_same": exact.share_same,
                "to_item": np.log(safe / item.middle),
                "item_lower": item.share_lower,
                "item_same": item.share_same,
                "item_count": self._item_size[service],
                "same_price_near": self._near.of(rows),
                "same_price_ever": self._same_size[same] - 1.0,
                "same_price_clients": clients,
                "to_level_above": np.log(safe / above),
                "to_level_below": np.log(safe / below),
                "invoice_others": invoice_others,
                "log_quantity": np.log(np.maximum(quantity, 1e-6)),
                "log_item_price": np.log(item.middle),
                "item_spread": np.log(item.middle / item.least),
            }
        matrix = np.empty((len(rows), len(FEATURES)))
        for column, name in enumerate(FEATURES):
            matrix[:, column] = columns[name]
        wrong = self._zero_is_wrong(rows)
        return PriceView(matrix, expected, source, clients, wrong, agreed)

    def _zero_is_wrong(self, rows: np.ndarray) -> np.ndarray:
        """Chance that a line at no price is a mistake, 0 for priced lines.

        It falls with the share of the item's and of the client's other lines at no price, and
        halves where the same invoice bills the same item at a price (goods added free).
        """
        book = self.lines
        out = np.zeros(len(rows))
        at = np.nonzero(book.price[rows] <= 0)[0]
        if not len(at):
            return out
        free = rows[at]
        habits = []
        for code in (book.service, book.client):
            others = np.bincount(code)[code[free]] - 1.0
            frees = np.bincount(code[self._free])[code[free]] - 1.0
            habits.append(np.where(others > 0, frees / np.maximum(others, 1.0), 0.0))
        group = self._invoices.of(free)
        asked = np.zeros(len(self._invoices.starts) - 1, dtype=bool)
        asked[group] = True
        beside = self._invoices.order[np.repeat(asked, self._invoices.sizes())]
        paid = beside[book.price[beside] > 0]
        key = packed(
            np.r_[book.invoice[free], book.invoice[paid]],
            np.r_[book.service[free], book.service[paid]],
        )
        paid_beside = np.isin(key[: len(free)], key[len(free) :])
        out[at] = 0.99 * (1 - habits[0]) * (1 - habits[1]) * np.where(paid_beside, 0.5, 1.0)
        return out


class _Levels:
    """The prices of each item that two clients or more have paid."""

    def __init__(self, lines: Codes, same: Groups, clients: np.ndarray) -> None:
        first = np.minimum.reduceat(same.order, same.starts[:-1]) if len(lines) else same.order
        at = first[(clients >= 2) & (lines.price[first] > 0)]
        self.top = float(lines.price.max(initial=0.0)) * 2 + 1
        key = lines.service[at] * self.top + lines.price[at]
        order = np.argsort(key)
        self.key = key[order]
        self.price, self.service = lines.price[at][order], lines.service[at][order]

    def around(self, service: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The item's next level at or above each price, and the next below; NaN: none.

        A line's own price is a level where another client paid it too.
        """
        above, below = np.full(len(price), np.nan), np.full(len(price), np.nan)
        if not len(self.key):
            return above, below
        up = np.searchsorted(self.key, service * self.top + price - 1e-9, side="left")
        inside = np.minimum(up, len(self.key) - 1)
        found = (up < len(self.key)) & (self.service[inside] == service)
        above[found] = self.price[inside[found]]
        down = np.maximum(up - 1, 0)
        found = (up > 0) & (self.service[down] == service)
        below[found] = self.price[down[found]]
        return above, below


def _expected(
    price: np.ndarray,
    rates: Rates,
    client: np.ndarray,
    tier: Neighbours,
    item: np.ndarray,
    level: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A contracted rate has the last word; else the nearest witness of a price above the line's
    own, or, where none is, the nearest witness."""
    witnesses = (
        (3, client),
        (4, np.where(tier.count >= 3, tier.middle, np.nan)),
        (5, item),
        (6, level),
    )
    expected, source = np.full(len(price), np.nan), np.zeros(len(price), dtype=np.int64)
    for least in (price * _CLEARLY, np.zeros(len(price))):
        for code, values in witnesses:
            take = ~np.isfinite(expected) & (values > least)
            expected, source = np.where(take, values, expected), np.where(take, code, source)
    agreed = np.isfinite(rates.price)
    expected = np.where(agreed, rates.price, expected)
    return expected, np.where(agreed, np.where(rates.own, 1, 2), source)
