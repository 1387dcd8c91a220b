"""Posterior of a media mix: which carry-over, saturation and size of each channel fit the outcome.

Bayesian linear base, marginalised exactly, with the freedom of its trend and season sampled; for
each channel the decay, delay, saturation scale and family are sampled by Metropolis steps with the
channel's size integrated out (a half-normal prior keeps it at zero or above), then the size by
Gibbs (:mod:`ml.estimators.media_chain`). Everything is averaged over the draws, so no single shape
has to be chosen. Carry-over and saturation as in Jin et al., "Bayesian methods for media mix
modeling with carryover and shape effects", 2017; the sampler is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.estimators.media_chain import Chain, Priors, Problem, steady_before
from ml.estimators.media_curves import FAMILIES, carry_over, saturate, slope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Draws:
    """Posterior draws, arrays of (draws, channels); ``base`` is (draws, base columns).

    size: mean effect a period over the fitted ones. amplitude: factor on the saturation curve.
    order: of the carry-over. scale: saturation scale in money. sigma: deviation of the noise,
    (draws,).
    """

    size: Floats
    amplitude: Floats
    decay: Floats
    order: Ints
    scale: Floats
    family: Ints
    base: Floats
    sigma: Floats


def effects(draws: Draws, channel: int, spend: Floats, before: float) -> Floats:
    """Effect of a channel's spend (periods,) by draw and period, (draws, periods)."""
    result = np.empty((len(draws.sigma), len(spend)))
    for d in range(len(result)):
        load = carry_over(spend, draws.decay[d, channel], int(draws.order[d, channel]), before)
        curve = saturate(load / draws.scale[d, channel], int(draws.family[d, channel]))
        result[d] = draws.amplitude[d, channel] * curve
    return result


def mean_effects(draws: Draws, spend: Floats) -> Floats:
    """Mean effect over the draws, (periods, channels)."""
    return np.column_stack(
        [
            effects(draws, c, spend[:, c], steady_before(spend[:, c])).mean(axis=0)
            for c in range(spend.shape[1])
        ]
    )


def steady(draws: Draws, amounts: Floats, places: Sequence[int | None]) -> tuple[Floats, Floats]:
    """Response and slope of steady spend (rows, channels), as (draws, rows, channels).

    ``places``: each column's channel in the draws, None for one without effect.
    """
    shape = (len(draws.sigma), *amounts.shape)
    level, steep = np.zeros(shape), np.zeros(shape)
    for column, place in enumerate(places):
        if place is None:
            continue
        scale = draws.scale[:, place]
        for family in range(len(FAMILIES)):
            mine = draws.family[:, place] == family
            if mine.any():
                load = amounts[None, :, column] / scale[mine, None]
                factor = draws.amplitude[mine, place][:, None]
                level[mine, :, column] = factor * saturate(load, family)
                steep[mine, :, column] = factor * slope(load, family) / scale[mine, None]
    return level, steep


def sample(
    spend: Floats,
    y: Floats,
    base: Floats,
    penalty: Floats,
    groups: Sequence[str],
    rho: float,
    priors: Priors,
    *,
    skip: int,
    sweeps: int,
    keep: int,
    seed: int,
) -> Draws:
    """Draws for spend (periods, channels > 0 somewhere), outcome (periods,), base (periods, p).

    ``penalty`` is the prior precision of the base columns in units of the noise precision, with
    which the chain begins; of the ``groups`` bend and season it is sampled. The first ``skip``
    periods are not learnt from: what was spent ahead of them is not known.
    """
    rng = np.random.default_rng(seed)
    problem = Problem(spend, y, base, penalty, groups, rho, skip)
    chain = Chain(problem, priors, rng)
    burn = sweeps // 3
    wanted = set(np.linspace(burn, sweeps - 1, keep).astype(int).tolist())
    rows: list[tuple[Floats, ...]] = []
    for sweep in range(sweeps):
        chain.sweep(adapt=sweep < burn)
        if sweep in wanted:
            rows.append(chain.state())
    parts = [np.array(part) for part in zip(*rows, strict=True)]
    return Draws(
        size=parts[0],
        amplitude=parts[1],
        decay=parts[2],
        order=parts[3].astype(np.int64),
        scale=parts[4],
        family=parts[5].astype(np.int64),
        base=parts[6],
        sigma=parts[7][:, 0],
    )
