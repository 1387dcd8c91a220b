"""How clients live and leave: trouble, decline, price rises, competitors; order chance and hazard.

Four processes move a client. Each shows in the books before it drives the client away:

- *trouble*: incidents of bad service. Trouble fades over weeks; meanwhile invoices are disputed,
  payments come later, orders get fewer.
- *decline*: the client's need dries up from a day on; orders shrink.
- *pressure*: the client's agreed prices were raised at the last renewal.
- *competitor*: a rival works a region for a quarter; orders there drop.

Besides, retainers may end soon after each anniversary, and there is a hidden constant, *frailty*.
The daily hazard of leaving is the sum of the causes' parts. Everything known at a day is a
:class:`State`; :func:`window` moves it on, with the draws of another stream for other futures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from warehouse.sources.sample.catalogue import REGIONS
from warehouse.sources.sample.clients import RETAINER, Clients
from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

CAUSES = ("natural", "service", "decline", "price", "contract_end", "competitor")
NEVER = 1_000_000  # a day that never comes
_FADE = 1 - 1 / 45  # trouble's decay a day
_PRESSURE_DAYS = 150.0
_DECLINE_PER_MONTH = 0.008
_YEAR = 365.25


@dataclass(frozen=True)
class Paths:
    """Arrays of clients x days: order chance of each day, parts of the daily hazard by cause,
    trouble, and how far the need has fallen (0 to 1). Hazards ignore whether the client has
    started or left."""

    order: Floats
    parts: tuple[Floats, ...]
    trouble: Floats
    fallen: Floats

    @property
    def hazard(self) -> Floats:
        """Sum of the causes' parts."""
        total = self.parts[0].copy()
        for part in self.parts[1:]:
            total += part
        return total


@dataclass(frozen=True)
class Incidents:
    """Draws that move clients in the months they cover: which stream, known up to which day.

    Draws dated up to ``known`` come from the firm's own stream, later ones from ``future``.
    """

    streams: Streams
    known: int = NEVER
    future: str = ""

    def uniform(self, name: str, known: Bools, *coordinates: object) -> Floats:
        """The firm's own draw where ``known``, the other future's elsewhere."""
        own = self.streams.uniform(name, *coordinates)
        if not self.future:
            return own
        return np.where(known, own, self.streams.uniform(name + self.future, *coordinates))


def impulses(draws: Incidents, c: Clients, calendar: Calendar, first: int, last: int) -> Floats:
    """New trouble by client and day of [first, last]: up to one incident a client and month."""
    months = np.arange(calendar.month[first], calendar.month[last] + 1)
    starts = calendar.month_start[months]
    known = (starts <= draws.known)[None, :]
    cells = (c.number[:, None], months[None, :])
    chance = np.minimum(0.035 * c.troubled, 0.5)[:, None]
    happens = draws.uniform("trouble.when", known, *cells) < chance
    day = starts[None, :] + (draws.uniform("trouble.day", known, *cells) * 28).astype(np.int64)
    size = (0.5 + draws.uniform("trouble.size", known, *cells)) * c.care[:, None]
    result = np.zeros((len(c), last - first + 1))
    rows, columns = np.nonzero(happens & (day >= first) & (day <= last))
    result[rows, day[rows, columns] - first] = size[rows, columns]
    return result


def decline_onset(draws: Incidents, c: Clients, calendar: Calendar, last: int) -> Ints:
    """First day of decline of each client up to ``last``, else NEVER."""
    months = np.arange(calendar.month[last] + 1)
    starts = calendar.month_start[months]
    known = (starts <= draws.known)[None, :]
    cells = (c.number[:, None], months[None, :])
    # a busy client winds down, one who seldom orders just leaves
    chance = _DECLINE_PER_MONTH * (np.minimum(c.rate / 0.06, 1.5) * (c.rate > 0.03))[:, None]
    happens = draws.uniform("decline.when", known, *cells) < chance
    day = starts[None, :] + (draws.uniform("decline.day", known, *cells) * 28).astype(np.int64)
    happens &= day >= c.started[:, None] + 60
    first = np.argmax(happens, axis=1)
    found = np.take_along_axis(day, first[:, None], axis=1)[:, 0]
    return np.where(happens.any(axis=1), found, NEVER)


def renewal_factor(draws: Incidents, c: Clients, term: Ints) -> Floats:
    """Factor on all agreed prices of a client in a term (1 is the price list)."""
    starts = term_start(c, term)
    known = starts <= draws.known
    uniform = draws.uniform("rate.level", known, c.number[:, None], term + 64)
    return 0.94 + 0.18 * uniform


def term_start(c: Clients, term: Ints) -> Ints:
    """First day of the term of that number, of shape clients x terms."""
    return np.asarray(term * c.term[:, None] - c.term_offset[:, None])


def _pressure(draws: Incidents, c: Clients, first: int, last: int) -> Floats:
    """How much the last renewal raised the client's prices, fading over the term."""
    days = np.arange(first, last + 1)
    terms = (days[None, :] + c.term_offset[:, None]) // c.term[:, None]
    low = int(terms.min())
    numbers = np.arange(low - 1, int(terms.max()) + 1)[None, :]
    level = renewal_factor(draws, c, np.broadcast_to(numbers, (len(c), numbers.shape[1])))
    rise = np.maximum(np.diff(level, axis=1), 0.0)
    age = (days[None, :] + c.term_offset[:, None]) % c.term[:, None]
    age = np.where(age < _PRESSURE_DAYS, 1.0 - age / _PRESSURE_DAYS, 0.0)
    return np.asarray(np.take_along_axis(rise, terms - low, axis=1) * age)


def competitor(draws: Incidents, calendar: Calendar, first: int, last: int) -> Floats:
    """Strength of the rival by region and day of [first, last]."""
    quarters = np.arange(calendar.month[last] // 3 + 1)
    starts = calendar.month_start[quarters * 3]
    known = (starts <= draws.known)[None, :]
    regions = np.arange(len(REGIONS))[:, None]
    active = draws.uniform("competitor", known, regions, quarters[None, :]) < 0.13
    return active[:, calendar.month[first : last + 1] // 3].astype(np.float64)


def window(
    draws: Incidents,
    c: Clients,
    calendar: Calendar,
    first: int,
    last: int,
    trouble_before: Floats,
    onset: Ints,
) -> Paths:
    """Paths over the days [first, last], given the trouble at ``first - 1`` and declines' onset."""
    days = np.arange(first, last + 1)
    fresh = impulses(draws, c, calendar, first, last)
    fresh[:, 0] += trouble_before * _FADE
    trouble = lfilter([1.0], [1.0, -_FADE], fresh, axis=1)
    fallen = np.maximum(days[None, :] - onset[:, None], 0)
    fallen = 1.0 - np.exp(fallen / -60.0)
    pressure = _pressure(draws, c, first, last)
    rival = competitor(draws, calendar, first, last)[c.region]
    age = days[None, :] - c.started[:, None]
    parts = _hazards(c, age, trouble, fallen, pressure, rival)
    order = _order_chance(c, calendar, days, age, trouble, fallen, rival)
    return Paths(order, parts, trouble, fallen)


def _hazards(
    c: Clients, age: Ints, trouble: Floats, fallen: Floats, pressure: Floats, rival: Floats
) -> tuple[Floats, ...]:
    """Parts of the daily hazard, in the order of :data:`CAUSES`, before the hidden frailty."""
    kind = np.array([0.6, 0.9, 1.2])[c.contract] * np.array([1.25, 0.9, 0.6])[c.segment]
    # who orders seldom is tied to nobody and rarely leaves for good
    kind = kind * np.clip(c.rate / 0.06, 0.1, 1.4)
    scale = (kind * np.exp(c.frailty) / _YEAR)[:, None]
    young = np.where(age < 365, 1.4, 1.0)
    after = (c.contract == RETAINER)[:, None] & (age > 300) & (age % 365 < 30)
    return (
        scale * 0.045 * young,
        scale * 1.7 * np.maximum(trouble - 0.15, 0.0),
        scale * 3.0 * fallen,
        scale * 3.5 * pressure,
        scale * 0.5 * after,
        scale * 0.15 * rival,
    )


def _order_chance(
    c: Clients,
    calendar: Calendar,
    days: Ints,
    age: Ints,
    trouble: Floats,
    fallen: Floats,
    rival: Floats,
) -> Floats:
    """Chance of an order on each day; 1 on the days a retainer is billed and on the first day."""
    log_rate = np.log(c.rate)[:, None] + c.drift[:, None] * (age / _YEAR).clip(-1, 4)
    log_rate -= 0.2 * trouble
    log_rate -= 3.2 * fallen
    log_rate -= 0.12 * rival
    log_rate += np.where(age < 180, -0.5 * (1 - age / 180.0), 0.0)
    chance = -np.expm1(-np.exp(log_rate) * calendar.weight[days][None, :])
    chance[_billed(c, calendar, days)] = 1.0
    chance[age == 0] = 1.0
    return chance


def _billed(c: Clients, calendar: Calendar, days: Ints) -> Bools:
    """Days on which a retainer is billed: the bill day of each month, or the next open day."""
    first, last = int(days[0]), int(days[-1])
    months = np.arange(max(calendar.month[first] - 1, 0), calendar.month[last] + 1)
    nominal = calendar.month_start[months][None, :] + c.bill_day[:, None]
    day = calendar.next_open[nominal]
    inside = (c.contract == RETAINER)[:, None] & (day >= first) & (day <= last)
    result = np.zeros((len(c), len(days)), dtype=bool)
    rows, columns = np.nonzero(inside)
    result[rows, day[rows, columns] - first] = True
    return result


@dataclass(frozen=True)
class Lives:
    """What became of each client: paths from day 0, first day without them (or NEVER), cause."""

    paths: Paths
    onset: Ints
    left: Ints
    cause: Ints
    gives_notice: Bools


def live(streams: Streams, c: Clients, calendar: Calendar, last: int) -> Lives:
    """The firm's own history of the days 0 … last."""
    draws = Incidents(streams)
    onset = decline_onset(draws, c, calendar, last)
    paths = window(draws, c, calendar, 0, last, np.zeros(len(c)), onset)
    hazard = paths.hazard
    hazard[np.arange(last + 1)[None, :] <= c.started[:, None]] = 0.0
    spent = np.cumsum(hazard, axis=1)
    threshold = -np.log(streams.uniform("leave", c.number))[:, None]
    gone = spent > threshold
    left = np.where(gone[:, -1], np.argmax(gone, axis=1), NEVER)
    cause = _cause(streams, c, paths, np.minimum(left, last))
    notice = np.array([0.95, 0.82, 0.7])[c.contract]
    return Lives(paths, onset, left, cause, streams.uniform("leave.notice", c.number) < notice)


def _cause(streams: Streams, c: Clients, paths: Paths, day: Ints) -> Ints:
    """The cause of leaving on a day, drawn by the causes' shares of that day's hazard."""
    rows = np.arange(len(c))
    shares = np.cumsum(np.stack([part[rows, day] for part in paths.parts], axis=1), axis=1)
    draw = streams.uniform("leave.cause", c.number) * shares[:, -1]
    return np.minimum((shares < draw[:, None]).sum(axis=1), len(CAUSES) - 1)
