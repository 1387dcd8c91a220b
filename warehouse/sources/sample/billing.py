"""Orders and their lines: which services on which day, how much of each, at what price and cost.

Quantity answers to price with the constant elasticity of (service, segment). Mistakes in billing
come after (:mod:`mistakes`): the client's demand answered to the price agreed, not to the mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.catalogue import COUNT, Catalogue
from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.lives import Lives
from warehouse.sources.sample.rates import Agreements, price_of
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

_FAR = 1 << 20  # more than any day: makes one sorted number of (client row, day)


@dataclass(frozen=True)
class Orders:
    """Orders of a chunk of clients, sorted by client row, then day, with the client's trouble and
    fallen need of the day. ``burst`` marks orders of an unusual size (a planted anomaly)."""

    row: Ints
    day: Ints
    trouble: Floats
    fallen: Floats
    burst: Bools

    def __len__(self) -> int:
        return len(self.row)

    def next_at(self, row: Ints, day: Ints) -> Ints:
        """Index of the client's first order at or after a day, else -1."""
        keys = self.row * _FAR + self.day
        found = np.searchsorted(keys, row * _FAR + day)
        inside = np.minimum(found, len(keys) - 1)
        return np.where((found < len(keys)) & (self.row[inside] == row), inside, -1)


@dataclass(frozen=True)
class Lines:
    """Lines as they should have been billed: order index, service, place in the order, quantity,
    agreed price, cost."""

    order: Ints
    service: Ints
    place: Ints
    quantity: Floats
    price: Floats
    cost: Floats

    def __len__(self) -> int:
        return len(self.order)


def orders(streams: Streams, c: Clients, lives: Lives, last: int) -> Orders:
    """Orders up to and including day ``last``, before each client left."""
    days = np.arange(last + 1)[None, :]
    chance = lives.paths.order[:, : last + 1]
    happens = streams.uniform("order", c.number[:, None], days) < chance
    happens &= (days >= c.started[:, None]) & (days < lives.left[:, None])
    row, day = np.nonzero(happens)
    burst = streams.uniform("order.burst", c.number[row], day) < 0.0012
    return Orders(row, day, lives.paths.trouble[row, day], lives.paths.fallen[row, day], burst)


def lines(
    streams: Streams,
    catalogue: Catalogue,
    calendar: Calendar,
    c: Clients,
    o: Orders,
    agreed: Agreements,
) -> Lines:
    """The lines of the orders, sorted by order, then service; each order has at least one."""
    services = np.arange(COUNT)[None, :]
    chance = c.likes[o.row] * np.exp(0.6 * catalogue.season.T[o.day])
    chance *= np.exp(-0.8 * o.fallen)[:, None]
    draw = streams.uniform("line", c.number[o.row][:, None], o.day[:, None], services)
    ratio = draw / np.minimum(chance, 0.95)
    chosen = ratio < 1.0
    chosen[np.arange(len(o)), np.argmin(ratio, axis=1)] = True
    order, service = np.nonzero(chosen)
    place = np.arange(len(order)) - np.searchsorted(order, order)
    row, day = o.row[order], o.day[order]
    price = price_of(agreed, catalogue, calendar, c, row, service, day)
    quantity = _quantity(streams, catalogue, c, row, day, service, price)
    quantity *= np.exp(-1.2 * o.fallen - 0.2 * o.trouble)[order]
    quantity = np.where(o.burst[order], quantity * 6.0, quantity)
    quantity = np.maximum(np.round(quantity, 1), 0.1)
    noise = np.exp(0.08 * streams.normal("line.cost", c.number[row], day, service))
    cost = np.round(quantity * catalogue.unit_cost[service] * c.cost_factor[row] * noise, 2)
    return Lines(order, service, place, quantity, price, cost)


def _quantity(
    streams: Streams,
    catalogue: Catalogue,
    c: Clients,
    row: Ints,
    day: Ints,
    service: Ints,
    price: Floats,
) -> Floats:
    """Units asked for at the agreed price."""
    relative = np.log(price / catalogue.reference[service])
    log = np.log(catalogue.median[service]) + 0.85 * c.size[row]
    log += 0.35 * streams.normal("line.taste", c.number[row], service)
    log += catalogue.elasticity[service, c.segment[row]] * relative
    log += 0.8 * catalogue.season[service, day] + catalogue.level[service, day]
    log += 0.06 * np.minimum(day, 3650) / 365.25
    log += 0.40 * streams.normal("line.quantity", c.number[row], day, service)
    return np.exp(log)
