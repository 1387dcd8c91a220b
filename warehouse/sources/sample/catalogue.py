"""What the sample firm sells: services, their price lists, seasons, level shifts and elasticities.

Price lists follow the season a little (dearer when demand is high), which is the trap that
:mod:`ml.estimators.pricing` has to see through: without controls the elasticity looks too small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.days import EPOCH, Calendar
from warehouse.sources.sample.streams import Floats, Ints, Streams

SEGMENTS = ("small", "mid", "enterprise")
REGIONS = ("north", "south", "east", "west")

#: name, category, list price, unit cost, median quantity of a line, popularity, has labour
SERVICES: tuple[tuple[str, str, float, float, float, float, bool], ...] = (
    ("Bookkeeping", "accounting", 68.0, 37.0, 9.0, 1.6, True),
    ("Payroll", "accounting", 24.0, 12.5, 14.0, 1.3, True),
    ("Annual accounts", "accounting", 115.0, 66.0, 8.0, 0.7, True),
    ("Reporting", "accounting", 88.0, 47.0, 6.0, 0.9, True),
    ("Tax advice", "advisory", 165.0, 92.0, 5.0, 1.0, True),
    ("Strategy workshop", "advisory", 210.0, 118.0, 6.0, 0.5, True),
    ("Compliance review", "advisory", 140.0, 79.0, 7.0, 0.8, True),
    ("Managed support", "technology", 82.0, 45.0, 10.0, 1.5, True),
    ("Cloud hosting", "technology", 38.0, 21.0, 18.0, 1.2, False),
    ("Security audit", "technology", 155.0, 90.0, 8.0, 0.6, True),
    ("Software development", "technology", 128.0, 74.0, 16.0, 0.9, True),
    ("Content", "marketing", 74.0, 43.0, 8.0, 0.9, True),
    ("Campaign management", "marketing", 96.0, 55.0, 9.0, 0.8, True),
    ("Web design", "marketing", 104.0, 60.0, 12.0, 0.6, True),
    ("Training", "training", 120.0, 63.0, 5.0, 0.6, True),
    ("Filing fee", "training", 45.0, 30.0, 3.0, 0.5, False),
)
#: Services whose price never moves: their elasticity cannot be learnt, and a model should say so.
FIXED_PRICE = (15,)
#: Services that are sold so seldom that some segments stay thin.
RARE = (5, 14)
COUNT = len(SERVICES)


def service_ids() -> list[str]:
    """S01, S02, … in the order of :data:`SERVICES`."""
    return [f"S{number + 1:02d}" for number in range(COUNT)]


@dataclass(frozen=True)
class Catalogue:
    """Arrays by service, by service and month, by service and day, by service and segment.

    reference: opening price. catalogue: yearly revised price by month, without season and
    promotion. listed: the price that everyone pays that month. season and level: log factors of
    demand by day. elasticity: true own-price elasticity by segment.
    """

    reference: Floats
    unit_cost: Floats
    median: Floats
    popularity: Floats
    labour: Floats
    catalogue: Floats
    listed: Floats
    promotion: Floats
    season: Floats
    level: Floats
    elasticity: Floats


def build(streams: Streams, calendar: Calendar) -> Catalogue:
    """The catalogue over all days and months of the calendar."""
    services = np.arange(COUNT)
    reference = np.array([row[2] for row in SERVICES])
    season = _season(streams, services, calendar.phase)
    catalogue = _catalogue_prices(streams, services, reference, calendar)
    promotion = _promotions(streams, services, calendar)
    middle = np.minimum(calendar.month_start + 14, calendar.length - 1)
    follow = np.where(np.isin(services, FIXED_PRICE), 0.0, 0.22)[:, None]
    listed = np.round(catalogue * np.exp(follow * season[:, middle]) * promotion, 2)
    popularity = np.array([row[5] for row in SERVICES])
    popularity[list(RARE)] *= 0.25
    return Catalogue(
        reference=reference,
        unit_cost=np.array([row[3] for row in SERVICES]),
        median=np.array([row[4] for row in SERVICES]),
        popularity=popularity,
        labour=np.array([float(row[6]) for row in SERVICES]),
        catalogue=catalogue,
        listed=listed,
        promotion=promotion,
        season=season,
        level=_levels(streams, services, calendar),
        elasticity=_elasticities(streams, services),
    )


def _season(streams: Streams, services: Ints, phase: Floats) -> Floats:
    """Log factor by service and day: one wave a year, with a weaker second one."""
    peak = streams.uniform("season.peak", services)[:, None]
    height = 0.10 + 0.25 * streams.uniform("season.height", services)[:, None]
    wave = np.cos(2 * np.pi * (phase[None, :] - peak))
    return height * (wave + 0.3 * np.cos(4 * np.pi * (phase[None, :] - peak)))


def _levels(streams: Streams, services: Ints, calendar: Calendar) -> Floats:
    """Log level by service and day: now and then demand settles on another level for good."""
    quarter = calendar.month // 3
    quarters = np.arange(quarter[-1] + 1)
    cells = (services[:, None], quarters[None, :])
    # in a year one service in eight: more, and chance decides whether a forecast looks good
    happens = (streams.uniform("level.when", *cells) < 0.03) & (quarters[None, :] > 0)
    up = streams.uniform("level.sign", *cells) < 0.55
    size = 0.15 + 0.2 * streams.uniform("level.size", *cells)
    steps = np.where(happens, np.where(up, size, -size), 0.0)
    return np.cumsum(steps, axis=1)[:, quarter]


def _catalogue_prices(
    streams: Streams, services: Ints, reference: Floats, calendar: Calendar
) -> Floats:
    """Price by service and month: a rise each January, for some services a change in July."""
    months = np.arange(calendar.months)
    of_year = (months + EPOCH.month - 1) % 12
    cells = (services[:, None], months[None, :])
    january = np.where(of_year == 0, 0.01 + 0.05 * streams.uniform("list.january", *cells), 0.0)
    changes = (of_year == 6) & (streams.uniform("list.july", *cells) < 0.4)
    july = np.where(changes, 0.12 * streams.uniform("list.july.size", *cells) - 0.05, 0.0)
    rise = np.where(np.isin(services, FIXED_PRICE)[:, None], 0.0, january + july)
    return np.asarray(reference[:, None] * np.cumprod(1.0 + rise, axis=1))


def _promotions(streams: Streams, services: Ints, calendar: Calendar) -> Floats:
    """Price factor by service and month: 1, or a promotion of 8 to 20 % for a month."""
    cells = (services[:, None], np.arange(calendar.months)[None, :])
    runs = streams.uniform("promotion.when", *cells) < 0.12
    runs &= ~np.isin(services, FIXED_PRICE)[:, None]
    return np.where(runs, 0.92 - 0.12 * streams.uniform("promotion.size", *cells), 1.0)


def _elasticities(streams: Streams, services: Ints) -> Floats:
    """True elasticity by service and segment, in [-3, -0.4]; large clients mind prices less."""
    base = 0.6 + 1.7 * streams.uniform("elasticity", services)[:, None]
    segment = np.array([0.35, 0.0, -0.3])[None, :]
    wobble = 0.25 * streams.normal("elasticity.own", services[:, None], np.arange(3)[None, :])
    return np.asarray(-np.clip(base + segment + wobble, 0.4, 3.0))
