"""Invoices of the sample firm: due dates, disputes and payments, which come late in bad times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.billing import Orders
from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

_TERMS = np.array([14, 30, 45])


@dataclass(frozen=True)
class Invoices:
    """One invoice an order. ``paid`` is the day of payment, whether or not it has come yet;
    ``never`` marks those that stay open."""

    due: Ints
    paid: Ints
    never: Bools
    disputed: Bools


def invoices(streams: Streams, c: Clients, o: Orders) -> Invoices:
    """Terms by segment; delay by the client's habit and its trouble of the day."""
    key = (c.number[o.row], o.day)
    due = o.day + _TERMS[c.segment[o.row]]
    disputed = streams.uniform("invoice.disputed", *key) < 0.008 - 0.32 * np.expm1(-o.trouble)
    delay: Floats = c.lateness[o.row] * (0.2 + 1.6 * streams.uniform("invoice.delay", *key)) - 5.0
    delay = delay + 13.0 * o.trouble * (0.5 + streams.uniform("invoice.trouble", *key))
    delay = delay + 9.0 * o.fallen * (0.5 + streams.uniform("invoice.fallen", *key))
    delay = delay + np.where(disputed, 12.0, 0.0)
    paid = np.maximum(due + np.rint(delay).astype(np.int64), o.day + 2)
    never = streams.uniform("invoice.never", *key) < 0.003 - 0.03 * np.expm1(-o.trouble)
    return Invoices(due, paid, never, disputed)
