"""Prices of the sample firm: what a client is to pay for a service on a day, and the rates table.

Everyone pays the month's price list, apart from agreements: a client may hold an agreed price for
a service over a term of half a year or a year. At a renewal all agreed prices of the client move
together (which may drive the client away, see :mod:`lives`), and each one moves on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.catalogue import COUNT, FIXED_PRICE, Catalogue
from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.lives import Incidents, renewal_factor, term_start
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams


@dataclass(frozen=True)
class Agreements:
    """Agreed prices of clients x services x terms; NaN where there is none.

    first_term: number of the first term of the arrays. starts: first day of each client's terms.
    """

    price: Floats
    starts: Ints
    first_term: int

    def of(self, row: Ints, service: Ints, day: Ints, c: Clients) -> Floats:
        """Agreed price of each (client row, service, day), else NaN."""
        term = (day + c.term_offset[row]) // c.term[row] - self.first_term
        return self.price[row, service, term]


def agreements(
    streams: Streams, catalogue: Catalogue, calendar: Calendar, c: Clients, last: int
) -> Agreements:
    """All agreements in force on some day of [0, last]."""
    terms = np.arange(0, int(((last + c.term_offset) // c.term).max()) + 1)
    numbers = np.broadcast_to(terms[None, :], (len(c), len(terms)))
    starts = term_start(c, numbers)
    factor = renewal_factor(Incidents(streams), c, numbers)
    month = calendar.month[np.clip(starts, 0, last)]
    cells = (c.number[:, None, None], np.arange(COUNT)[None, :, None], terms[None, None, :])
    discount = 0.30 * streams.uniform("rate.discount", *cells)
    discount += 0.03 * np.clip(c.size, -1.0, 2.0)[:, None, None]
    base = np.moveaxis(catalogue.catalogue[:, month], 0, 1)
    price = np.round(base * factor[:, None, :] * (1.0 - discount), 2)
    held = streams.uniform("rate.held", *cells) < 0.88
    held &= (c.negotiates & (c.likes > 0.05))[:, :, None]
    held[:, list(FIXED_PRICE), :] = False
    return Agreements(np.where(held, price, np.nan), starts, 0)


def price_of(
    agreed: Agreements,
    catalogue: Catalogue,
    calendar: Calendar,
    c: Clients,
    row: Ints,
    service: Ints,
    day: Ints,
) -> Floats:
    """What the client is to pay for a unit that day: the agreed price, else the month's list."""
    price = agreed.of(row, service, day, c)
    return np.where(np.isnan(price), catalogue.listed[service, calendar.month[day]], price)


@dataclass(frozen=True)
class RateRows:
    """Rows of the rates table for clients: chunk row, service, first and last day, price."""

    row: Ints
    service: Ints
    valid_from: Ints
    valid_to: Ints
    price: Floats


def client_rates(agreed: Agreements, c: Clients, left: Ints, last: int) -> RateRows:
    """Agreements that began by ``last`` and before their client left."""
    row, service, term = np.nonzero(~np.isnan(agreed.price))
    begins = agreed.starts[row, term]
    valid_from = np.maximum(begins, c.started[row])
    valid_to = begins + c.term[row] - 1
    keep: Bools = (valid_from <= np.minimum(last, left[row] - 1)) & (valid_from <= valid_to)
    row, service, term = row[keep], service[keep], term[keep]
    price = agreed.price[row, service, term]
    return RateRows(row, service, valid_from[keep], valid_to[keep], price)
