"""Quotes of the sample firm: offers, the true chance to win at a price, and when the answer came.

The chance to win is a complementary log-log curve of the price relative to the list. Urgent work
is quoted dearer and won more often, which makes high prices look better than they are; the
units offered tell part of the urgency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.catalogue import COUNT, Catalogue
from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.lives import Lives
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

LEVEL = np.array([-0.35, -0.45, -0.60])  # by segment, at the list price
_PER_MONTH = np.array([0.06, 0.30, 0.16])  # by contract


def sensitivity(streams: Streams) -> Floats:
    """Slope of the win curve by service: how the log of its inner term falls with log price."""
    return 2.0 + 3.0 * streams.uniform("quote.sensitivity", np.arange(COUNT))


@dataclass(frozen=True)
class Quotes:
    """Quotes of a chunk; ``decided`` may lie past the books, ``open_for_ever`` never comes."""

    row: Ints
    service: Ints
    day: Ints
    price: Floats
    quantity: Floats
    chance: Floats
    won: Bools
    decided: Ints
    open_for_ever: Bools

    def __len__(self) -> int:
        return len(self.row)


def quotes(
    streams: Streams, catalogue: Catalogue, calendar: Calendar, c: Clients, lives: Lives, last: int
) -> Quotes:
    """At most one quote a client and month, on an open day of the client's time with the firm."""
    months = np.arange(calendar.month[last] + 1)
    cells = (c.number[:, None], months[None, :])
    happens = streams.uniform("quote", *cells) < _PER_MONTH[c.contract][:, None]
    nominal = calendar.month_start[months] + streams.whole("quote.day", 26, *cells)
    day = calendar.next_open[nominal]
    happens &= (day >= c.started[:, None]) & (day < lives.left[:, None]) & (day <= last)
    row, month = np.nonzero(happens)
    key = (c.number[row], month)
    day = day[row, month]
    service = _service(streams, catalogue, c, row, month)
    urgency = streams.normal("quote.urgency", *key)
    log_ratio = 0.02 + 0.11 * streams.normal("quote.price", *key) + 0.05 * urgency
    list_price = catalogue.listed[service, calendar.month[day]]
    log_units = 0.5 * c.size[row] + 0.4 * streams.normal("quote.units", *key) - 0.25 * urgency
    quantity = np.maximum(np.round(3.0 * catalogue.median[service] * np.exp(log_units), 1), 0.5)
    price = np.round(list_price * np.exp(log_ratio), 2)
    inner = LEVEL[c.segment[row]] + 0.35 * urgency
    inner -= sensitivity(streams)[service] * np.log(price / list_price)
    chance = -np.expm1(-np.exp(inner))
    lag = 2 + (38 * streams.uniform("quote.lag", *key) ** 1.7).astype(np.int64)
    return Quotes(
        row=row,
        service=service,
        day=day,
        price=price,
        quantity=quantity,
        chance=chance,
        won=streams.uniform("quote.won", *key) < chance,
        decided=day + lag,
        open_for_ever=streams.uniform("quote.open", *key) < 0.06,
    )


def _service(streams: Streams, catalogue: Catalogue, c: Clients, row: Ints, month: Ints) -> Ints:
    """Half of what the client likes, half of what the firm sells most."""
    draw = streams.uniform(
        "quote.service", c.number[row][:, None], month[:, None], np.arange(COUNT)
    )
    weight = c.likes[row] + 0.15 * catalogue.popularity[None, :]
    return np.argmin(-np.log(draw) / weight, axis=1)
