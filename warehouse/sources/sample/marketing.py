"""Marketing of the sample firm: weekly spend by channel and what it really brings.

The outcome is the weekly series ``new_business_revenue``: a trend, the market (published as the
series ``market_index``, which also moves the budgets, the usual confounder), noise, and for each
channel an effect of the spend of this and earlier weeks. Carry-over has the weights of a negative
binomial distribution over 13 weeks; saturation is log(1 + x/s) or 1 - exp(-x/s).
Weeks are named by their Monday and known on their Sunday.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.stats import nbinom

from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.streams import Floats, Ints, Streams

OUTCOME, CONTROL = "new_business_revenue", "market_index"
_LAGS = 13


@dataclass(frozen=True)
class Channel:
    """A channel's usual weekly spend and its true effect (at 1,000 clients)."""

    name: str
    usual: float
    top: float  # outcome at, or in the scale of, saturation
    half: float  # spend in the scale of saturation
    curve: str  # "log" or "exp"
    lag_size: float
    lag_chance: float
    follows: float  # how much the budget follows the market

    def kernel(self) -> Floats:
        """Weights of this week's spend and the 12 before; they sum to 1."""
        weights = nbinom.pmf(np.arange(_LAGS), self.lag_size, self.lag_chance)
        return np.asarray(weights / weights.sum())

    def effect(self, carried: Floats) -> Floats:
        """Weekly outcome of a carried-over weekly spend."""
        relative = np.asarray(carried) / self.half
        if self.curve == "log":
            return np.asarray(self.top * np.log1p(relative))
        return np.asarray(-self.top * np.expm1(-relative))


# A mix as firms drift into: search is spent far past its knee, events and email are starved.
CHANNELS = (
    Channel("search", 7400.0, 11000.0, 4000.0, "exp", 1.0, 0.75, 1.6),
    Channel("social", 3000.0, 5600.0, 3000.0, "log", 2.0, 0.60, 1.0),
    Channel("events", 2300.0, 14000.0, 6000.0, "log", 2.0, 0.55, 0.5),
    Channel("email", 700.0, 9000.0, 1500.0, "exp", 1.0, 0.85, 0.3),
    Channel("partners", 2600.0, 6500.0, 3600.0, "exp", 2.0, 0.60, 0.8),
)
# A week's. At 420, and with campaigns of partners no longer than they act, the best that anybody
# could do who has to learn the curves left a channel off by over 15 % in one firm of thirteen.
_NOISE = 350.0
# Share of campaigns up to the bound, and how much of the usual budget they spend.
_FLIGHTS = ((0.25, 0.02), (0.45, 0.5), (0.75, 1.1), (1.0, 2.0))


@dataclass(frozen=True)
class Marketing:
    """Arrays by week (and channel first where it has two axes). monday: first day of each week."""

    monday: Ints
    spend: Floats
    contribution: Floats
    baseline: Floats
    outcome: Floats
    index: Floats


def marketing(streams: Streams, calendar: Calendar, clients: int, last: int) -> Marketing:
    """All weeks that are over by day ``last``; money scales with the number of clients."""
    monday = np.nonzero(calendar.weekday[: last - 5] == 0)[0]
    week = np.arange(len(monday))
    scale = clients / 1000.0
    index = _market_index(streams, calendar.phase[monday], week)
    spend = np.stack([_spend(streams, ch, n, week, index) for n, ch in enumerate(CHANNELS)])
    contribution = np.stack(
        [ch.effect(lfilter(ch.kernel(), [1.0], spend[n])) for n, ch in enumerate(CHANNELS)]
    )
    baseline = 26000.0 + 45.0 * week + 520.0 * (index - 100.0)
    noise = _NOISE * streams.normal("marketing.noise", week)
    outcome = baseline + contribution.sum(axis=0) + noise
    return Marketing(
        monday=monday,
        spend=np.round(spend * scale, 2),
        contribution=contribution * scale,
        baseline=baseline * scale,
        outcome=np.round(np.maximum(outcome, 0.0) * scale, 2),
        index=index,
    )


def _market_index(streams: Streams, phase: Floats, week: Ints) -> Floats:
    """A published index around 100: season, slow growth and waves of its own."""
    shocks = 1.6 * streams.normal("market", week)
    waves = lfilter([1.0], [1.0, -0.85], shocks)
    season = 7.0 * np.cos(2 * np.pi * (phase - 0.25)) + 2.5 * np.cos(4 * np.pi * (phase - 0.1))
    return np.round(100.0 + 0.03 * week + season + waves, 2)


def _spend(streams: Streams, channel: Channel, number: int, week: Ints, index: Floats) -> Floats:
    """Campaigns of some weeks, weak or strong, pauses, and a budget that follows the market."""
    block = (week + 2 * number) // (4 + number % 3)
    draw = streams.uniform("spend.campaign", number, block)
    bounds, strengths = zip(*_FLIGHTS, strict=True)
    flight = np.asarray(strengths)[np.searchsorted(bounds, draw, side="right")]
    noise = np.exp(0.28 * streams.normal("spend.noise", number, week))
    return channel.usual * flight * noise * np.exp(channel.follows * (index - 100.0) / 100.0)
