"""The true chance that a client buys nothing in the next 90 days, as of each month's end.

Given everything true at the day (trouble, decline, prices and rivals of that day, the hidden
frailty), the days ahead are drawn :data:`FUTURES` times; for each future the chance is exact, by
the recursion over days of "still here and has not bought". Their mean is the truth. Nobody who sees
only the books can know more.
"""

from __future__ import annotations

import numpy as np

from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.lives import Incidents, Lives, Paths, decline_onset, window
from warehouse.sources.sample.streams import Floats
from warehouse.sources.sample.world import World

HORIZON = 90
FUTURES = 8
FIRST = 180  # the first month ends lack a history to learn from


def no_purchase(paths: Paths) -> Floats:
    """Chance of no order on any day of the paths, for clients who are there before the first."""
    stays = np.exp(-paths.hazard)
    waits = np.cumprod(stays * (1.0 - paths.order), axis=1)
    before = np.concatenate([np.ones((len(waits), 1)), waits[:, :-1]], axis=1)
    return np.asarray((before * (1.0 - stays)).sum(axis=1) + waits[:, -1])


def true_chance(world: World, c: Clients, lived: Lives, day: int) -> Floats:
    """True chance of no purchase in the 90 days after ``day``; 1 for clients who have left."""
    chance = np.ones(len(c))
    here = np.nonzero(lived.left > day)[0]
    if len(here) == 0:
        return chance
    some = c.pick(here)
    trouble = lived.paths.trouble[here, day]
    total = np.zeros(len(here))
    for future in range(FUTURES):
        draws = Incidents(world.streams, known=day, future=f"/{day}/{future}")
        onset = decline_onset(draws, some, world.calendar, day + HORIZON)
        paths = window(draws, some, world.calendar, day + 1, day + HORIZON, trouble, onset)
        total += no_purchase(paths)
    chance[here] = total / FUTURES
    return chance
