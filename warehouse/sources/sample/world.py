"""The sample firm as values: what all clients share, and a chunk of simulated clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample import (
    billing,
    clients,
    invoices,
    lives,
    mistakes,
    quotes,
    rates,
    work,
)
from warehouse.sources.sample.catalogue import Catalogue
from warehouse.sources.sample.catalogue import build as build_catalogue
from warehouse.sources.sample.days import Calendar, calendar
from warehouse.sources.sample.streams import Ints, Streams

CHUNK = 2048  # clients simulated at once: some 300 MB at three years of days
AHEAD = 220  # days past the books that schedules, terms and true futures look at


@dataclass(frozen=True)
class World:
    """What all clients share. ``last`` is the last day of the books."""

    clients: int
    last: int
    streams: Streams
    calendar: Calendar
    catalogue: Catalogue

    def numbers(self) -> Iterator[Ints]:
        """Client numbers in chunks; the last ones may start after the books end."""
        total = clients.count(self.clients, self.last)
        for first in range(0, total, CHUNK):
            yield np.arange(first, min(first + CHUNK, total))


def build_world(size: int, seed: int, last: int) -> World:
    """The world of a firm with about ``size`` clients whose books end on day ``last``."""
    streams = Streams(seed)
    days = calendar(last + AHEAD)
    return World(size, last, streams, days, build_catalogue(streams, days))


@dataclass(frozen=True)
class Chunk:
    """Some clients and everything that happened with them by the last day of the books."""

    clients: clients.Clients
    lives: lives.Lives
    orders: billing.Orders
    lines: billing.Lines
    billed: mistakes.Billed
    extra: mistakes.Extra
    invoices: invoices.Invoices
    entries: work.Entries
    rates: rates.RateRows
    quotes: quotes.Quotes


def started_clients(world: World, number: Ints) -> clients.Clients:
    """The clients of these numbers that have started by the last day."""
    everyone = clients.build(world.streams, world.catalogue, world.calendar, world.clients, number)
    return everyone.pick(everyone.started <= world.last)


def simulate(world: World, number: Ints) -> Chunk:
    """Run all processes for the clients of these numbers."""
    s, days, goods, last = world.streams, world.calendar, world.catalogue, world.last
    c = started_clients(world, number)
    lived = lives.live(s, c, days, last)
    agreed = rates.agreements(s, goods, days, c, last)
    orders = billing.orders(s, c, lived, last)
    lines = billing.lines(s, goods, days, c, orders, agreed)
    billed = mistakes.bill(s, c, orders, lines)
    return Chunk(
        clients=c,
        lives=lived,
        orders=orders,
        lines=lines,
        billed=billed,
        extra=mistakes.extras(s, c, orders, lines, billed),
        invoices=invoices.invoices(s, c, orders),
        entries=work.entries(s, goods, days, c, orders, lines, billed),
        rates=rates.client_rates(agreed, c, lived.left, last),
        quotes=quotes.quotes(s, goods, days, c, lived, last),
    )
