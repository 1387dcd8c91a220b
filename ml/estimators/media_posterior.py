"""Posterior of a media mix: which carry-over, saturation and size of each channel fit the outcome.

Bayesian linear base, marginalised exactly; for each channel the decay, delay, saturation scale and
family are sampled by Metropolis steps with the channel's size integrated out (a half-normal prior
keeps it at zero or above), then the size by Gibbs. Everything is averaged over the draws, so no
single shape has to be chosen. Carry-over and saturation as in Jin et al., "Bayesian methods for
media mix modeling with carryover and shape effects", 2017; the sampler is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from ml.estimators.media_curves import FAMILIES, carry_over, saturate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shape = tuple[float, int, float, int]  # decay, order, log scale, family
_HEAVY = 3  # degrees of the half t prior of sizes


@dataclass(frozen=True)
class Priors:
    """What is plausible before the data speak.

    size: scale of each channel's mean effect, (channels,), in units of the outcome; the prior is
    a half Student t with 3 degrees, so that a channel may well be larger. decay: the two
    parameters of the beta prior of the carry-over a period. scale: mean and deviation of the log
    of the saturation scale over the channel's mean spend. max_order: most carry-overs in a row
    (each further one half as likely).
    """

    size: Floats
    decay: tuple[float, float] = (1.2, 1.5)
    scale: tuple[float, float] = (0.8, 0.6)
    max_order: int = 3
    carry: bool = True


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


def steady_before(spend: Floats) -> float:
    """Spend a period assumed ahead of the first one: half the mean of the first eight.

    A firm may have begun then or long before; the periods that it matters for are not learnt from.
    """
    return float(spend[:8].mean()) / 2


class _Problem:
    """The whitened, base-free view of the data: what every likelihood evaluation needs."""

    def __init__(
        self, spend: Floats, y: Floats, base: Floats, penalty: Floats, rho: float, skip: int
    ) -> None:
        self.spend, self.rho, self.skip = spend, rho, skip
        self.mean = spend.mean(axis=0)
        self.before = [steady_before(column) for column in spend.T]
        self.base = whiten(base[skip:], rho)
        gram = self.base.T @ self.base + np.diag(penalty)
        self.factor = np.linalg.cholesky(gram)
        self.half = np.linalg.solve(self.factor, self.base.T)
        self.y = whiten(y[skip:], rho)

    def column(self, channel: int, shape: Shape) -> tuple[Floats, float]:
        """Whitened effect column with mean 1 before whitening, and its mean before scaling."""
        decay, order, log_scale, family = shape
        scale = np.exp(log_scale) * self.mean[channel]
        load = carry_over(self.spend[:, channel], decay, order, self.before[channel])
        raw = saturate(load[self.skip :] / scale, family)
        mean = float(raw.mean())
        return whiten(raw / mean, self.rho), mean

    def free(self, vector: Floats) -> Floats:
        """The vector with what the base explains taken out (ridge projection)."""
        return vector - self.half.T @ (self.half @ vector)


def whiten(values: Floats, rho: float) -> Floats:
    """Remove first-order autocorrelation from noise (Prais-Winsten)."""
    if rho == 0.0:
        return values
    result = values.astype(np.float64, copy=True)
    result[1:] -= rho * values[:-1]
    result[0] *= np.sqrt(1 - rho**2)
    return result


def sample(
    spend: Floats,
    y: Floats,
    base: Floats,
    penalty: Floats,
    rho: float,
    priors: Priors,
    *,
    skip: int,
    sweeps: int,
    keep: int,
    seed: int,
) -> Draws:
    """Draws for spend (periods, channels > 0 somewhere), outcome (periods,), base (periods, p).

    ``penalty`` is the prior precision of the base columns in units of the noise precision. The
    first ``skip`` periods are not learnt from: what was spent ahead of them is not known.
    """
    rng = np.random.default_rng(seed)
    problem = _Problem(spend, y, base, penalty, rho, skip)
    chain = _Chain(problem, priors, rng)
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


def _same_lag(decay: float, order: int, moved: int) -> float:
    """The decay at which ``moved`` carry-overs lag as long in the mean as ``order`` ones did."""
    lag = order * decay / (1 - decay) / moved
    return float(np.clip(lag / (1 + lag), 1e-4, 1 - 1e-4))


class _Chain:
    """One Markov chain: current shapes, sizes and noise."""

    def __init__(self, problem: _Problem, priors: Priors, rng: np.random.Generator) -> None:
        self.problem, self.priors, self.rng = problem, priors, rng
        channels = problem.spend.shape[1]
        decay = 0.4 if priors.carry else 0.0
        self.shapes = [(decay, 1, priors.scale[0], c % len(FAMILIES)) for c in range(channels)]
        self.step = np.ones(channels)
        self.spread = priors.size.copy()
        built = [problem.column(c, shape) for c, shape in enumerate(self.shapes)]
        self.columns = [column for column, _ in built]
        self.means = np.array([mean for _, mean in built])
        self.size = self._start()
        self.rest = problem.y - sum(
            (b * h for b, h in zip(self.size, self.columns, strict=True)), np.zeros(len(problem.y))
        )
        self.variance = self._noise()

    def _start(self) -> Floats:
        from scipy.optimize import nnls

        free = np.column_stack([self.problem.free(column) for column in self.columns])
        sizes, _ = nnls(free, self.problem.free(self.problem.y))
        return np.minimum(np.asarray(sizes), 3 * self.priors.size)

    def _noise(self) -> float:
        misfit = float(self.rest @ self.problem.free(self.rest))
        return misfit / self.rng.chisquare(len(self.rest))

    def sweep(self, *, adapt: bool) -> None:
        """Update every channel once, then the noise."""
        for channel in self.rng.permutation(len(self.shapes)):
            self._update(int(channel), adapt)
        self.variance = self._noise()
        # A half t is a half normal whose scale is itself drawn.
        scaled = _HEAVY * self.priors.size**2 + self.size**2
        self.spread = np.sqrt(scaled / self.rng.chisquare(_HEAVY + 1, len(scaled)))

    def _update(self, channel: int, adapt: bool) -> None:
        without = self.rest + self.size[channel] * self.columns[channel]
        target = self.problem.free(without)
        shape, column = self.shapes[channel], self.columns[channel]
        score, centre, precision = self._score(channel, shape, column, target)
        for _ in range(2):
            proposal = self._propose(shape, self.step[channel])
            candidate, mean = self.problem.column(channel, proposal)
            new = self._score(channel, proposal, candidate, target)
            accepted = np.log(self.rng.random()) < new[0] - score
            if accepted:
                shape, column, self.means[channel] = proposal, candidate, mean
                score, centre, precision = new
            if adapt:
                change = 0.06 * ((1.0 if accepted else 0.0) - 0.3)
                self.step[channel] = np.clip(self.step[channel] * np.exp(change), 0.05, 4.0)
        deviation = 1 / np.sqrt(precision)
        lowest = ndtr(-centre / deviation)
        uniform = lowest + (1 - lowest) * self.rng.random()
        drawn = centre + deviation * ndtri(min(uniform, 1 - 1e-16))
        self.size[channel] = max(0.0, float(drawn))
        self.shapes[channel], self.columns[channel] = shape, column
        self.rest = without - self.size[channel] * column

    def _score(
        self, channel: int, shape: Shape, column: Floats, target: Floats
    ) -> tuple[float, float, float]:
        """Log posterior of a shape with the size integrated out; centre, precision of the size."""
        fitted = self.problem.half @ column
        weight = float(column @ column - fitted @ fitted)
        precision = weight / self.variance + 1 / self.spread[channel] ** 2
        centre = float(column @ target) / self.variance / precision
        likelihood = 0.5 * centre**2 * precision - 0.5 * np.log(precision)
        likelihood += float(log_ndtr(centre * np.sqrt(precision)))
        return likelihood + self._prior(shape), centre, precision

    def _prior(self, shape: Shape) -> float:
        decay, order, log_scale, _ = shape
        mean, deviation = self.priors.scale
        result = -0.5 * ((log_scale - mean) / deviation) ** 2 - order * np.log(2.0)
        if self.priors.carry:
            a, b = self.priors.decay
            # On the logit scale, on which the steps are taken.
            result += a * np.log(decay) + b * np.log1p(-decay)
        return float(result)

    def _propose(self, shape: Shape, step: float) -> Shape:
        decay, order, log_scale, family = shape
        draw = self.rng.standard_normal(2)
        log_scale = float(log_scale + 0.8 * step * draw[0])
        if self.priors.carry:
            logit = np.log(decay / (1 - decay)) + 0.8 * step * draw[1]
            decay = float(np.clip(1 / (1 + np.exp(-logit)), 1e-4, 1 - 1e-4))
            if self.rng.random() < 0.3:
                moved = order + (1 if self.rng.random() < 0.5 else -1)
                if 1 <= moved <= self.priors.max_order:
                    order, decay = moved, _same_lag(decay, order, moved)
        if self.rng.random() < 0.3:
            family = int(self.rng.integers(len(FAMILIES)))
        return decay, order, log_scale, family

    def state(self) -> tuple[Floats, ...]:
        """Current values, with base coefficients at their conditional mean."""
        decay, order, log_scale, family = (
            np.array(part, dtype=np.float64) for part in zip(*self.shapes, strict=True)
        )
        problem = self.problem
        gamma = np.linalg.solve(problem.factor.T, problem.half @ self.rest)
        return (
            self.size.copy(),
            self.size / self.means,
            decay,
            order,
            np.exp(log_scale) * problem.mean,
            family,
            gamma,
            np.array([np.sqrt(self.variance)]),
        )
