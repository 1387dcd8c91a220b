"""Who the sample firm's clients are: size, contract, habits and tastes, all fixed for life."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from warehouse.sources.sample.catalogue import COUNT, REGIONS, Catalogue
from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

CONTRACTS = ("retainer", "project", "adhoc")
RETAINER, PROJECT, ADHOC = range(3)
_OPENING_SHARE = 0.6  # of `clients` are there on the first day of the books
_ARRIVALS = 0.17  # of `clients` arrive in each year after it, so the firm goes on growing

#: orders a working day, by contract and segment
_ORDERS_A_DAY = np.array([[0.05, 0.09, 0.13], [0.13, 0.16, 0.22], [0.015, 0.14, 0.20]])


@dataclass(frozen=True)
class Clients:
    """One entry a client, in the order of ``number``.

    started: day of the first order, before 0 for those there at the opening. bill_day: the day
    of the month on which a retainer is billed. rate: orders a working day when all is well.
    frailty: the hidden part of the readiness to leave, as a log factor. lateness: usual days
    of delay. care: how much trouble hurts. likes: chance that an order holds each service.
    """

    number: Ints
    started: Ints
    segment: Ints
    region: Ints
    contract: Ints
    bill_day: Ints
    size: Floats
    rate: Floats
    drift: Floats
    frailty: Floats
    lateness: Floats
    care: Floats
    cost_factor: Floats
    troubled: Floats
    likes: Floats
    negotiates: Bools
    term: Ints
    term_offset: Ints

    def __len__(self) -> int:
        return len(self.number)

    def pick(self, rows: Bools | Ints) -> Clients:
        """Some of the clients."""
        return Clients(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def count(clients: int, last_day: int) -> int:
    """How many client numbers can have started by ``last_day`` (some of the last may be later)."""
    opening = round(clients * _OPENING_SHARE)
    return opening + int(np.ceil((last_day + 1) * clients * _ARRIVALS / 365.25)) + 1


def build(
    streams: Streams, catalogue: Catalogue, calendar: Calendar, clients: int, number: Ints
) -> Clients:
    """The clients of the given numbers."""
    segment = np.searchsorted([0.6, 0.9], streams.uniform("client.segment", number))
    contract = _contract(streams, number, segment)
    bulk = streams.normal("client.size", number)
    eager = 0.8 * bulk + 0.6 * streams.normal("client.rate", number)  # large clients order oftener
    likes = _likes(streams, catalogue, number, contract)
    base = np.log(_ORDERS_A_DAY[contract, segment])
    return Clients(
        number=number,
        started=_started(streams, calendar, clients, number),
        segment=segment,
        region=streams.whole("client.region", len(REGIONS), number),
        contract=contract,
        bill_day=streams.whole("client.bill_day", 28, number),
        size=np.array([0.0, 0.5, 1.1])[segment] + 0.45 * bulk,
        rate=np.exp(base + np.clip(4.0 * np.exp(base), 0.05, 0.25) * eager),
        drift=0.04 * streams.normal("client.drift", number),
        frailty=0.12 * streams.normal("client.frailty", number),
        lateness=np.exp(1.1 + 0.8 * streams.normal("client.lateness", number)),
        care=np.exp(0.3 * streams.normal("client.care", number)),
        cost_factor=np.exp(0.16 * streams.normal("client.cost", number)),
        troubled=np.exp(0.9 * streams.normal("client.troubled", number) - 0.4),
        likes=likes,
        negotiates=streams.uniform("client.negotiates", number[:, None], np.arange(COUNT)) < 0.55,
        term=np.where(streams.uniform("client.term", number) < 0.6, 182, 365),
        term_offset=streams.whole("client.term_offset", 365, number),
    )


def _started(streams: Streams, calendar: Calendar, clients: int, number: Ints) -> Ints:
    """Opening clients started up to ten years before the books, later ones arrive one by one."""
    opening = round(clients * _OPENING_SHARE)
    before = -np.ceil(-900.0 * np.log(streams.uniform("client.before", number)))
    jitter = streams.uniform("client.arrival", number)
    arrival = np.floor((number - opening + jitter) * 365.25 / (clients * _ARRIVALS)).astype(
        np.int64
    )
    arrival = calendar.next_open[np.clip(arrival, 0, calendar.length - 1)]
    return np.where(number < opening, np.maximum(before, -3650), arrival).astype(np.int64)


def _contract(streams: Streams, number: Ints, segment: Ints) -> Ints:
    """Retainer, project or ad hoc; the larger the client, the likelier a retainer."""
    draw = streams.uniform("client.contract", number)
    retainer = np.array([0.25, 0.40, 0.55])[segment]
    project = np.array([0.25, 0.30, 0.30])[segment]
    return np.where(draw < retainer, RETAINER, np.where(draw < retainer + project, PROJECT, ADHOC))


def _likes(streams: Streams, catalogue: Catalogue, number: Ints, contract: Ints) -> Floats:
    """Chance of each service in an order: some services often, the others almost never."""
    cells = (number[:, None], np.arange(COUNT)[None, :])
    interested = streams.uniform("client.interest", *cells) < 0.32 * catalogue.popularity
    strength = 0.12 + 0.6 * streams.uniform("client.strength", *cells)
    likes = np.where(interested, strength, 0.004 * catalogue.popularity)
    draw = streams.uniform("client.primary", *cells)
    primary = np.argmin(-np.log(draw) / catalogue.popularity, axis=1)
    likes[np.arange(len(number)), primary] = 0.85
    likes *= np.array([1.0, 1.0, 0.75])[contract][:, None]
    return likes
