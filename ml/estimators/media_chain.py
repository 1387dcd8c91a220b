"""The Markov chain of a media mix: shapes and sizes of channels, freedom of the base, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import log_ndtr, ndtr, ndtri

from ml.estimators.media_curves import FAMILIES, carry_over, saturate
from ml.estimators.media_tuning import GRIDS, moved_penalty

Floats = NDArray[np.float64]
Shape = tuple[float, int, float, int]  # decay, order, log scale, family
# Log of the load at which each family's response to twice the load is a third more: between such
# loads families are most alike, so that a channel can pass from one to another.
_ALIKE = (1.66, 0.0, 0.10, -0.13)
_LOOSEN = 5  # sweeps between two looks at how freely the base may bend
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


def steady_before(spend: Floats) -> float:
    """Spend a period assumed ahead of the first one: half the mean of the first eight.

    A firm may have begun then or long before; the periods that it matters for are not learnt from.
    """
    return float(spend[:8].mean()) / 2


class Problem:
    """The whitened, base-free view of the data: what every likelihood evaluation needs."""

    def __init__(
        self,
        spend: Floats,
        y: Floats,
        base: Floats,
        penalty: Floats,
        groups: Sequence[str],
        rho: float,
        skip: int,
    ) -> None:
        self.spend, self.rho, self.skip = spend, rho, skip
        self.mean = spend.mean(axis=0)
        self.before = [steady_before(column) for column in spend.T]
        self.base = whiten(base[skip:], rho)
        self.gram = self.base.T @ self.base
        self.groups = np.array(groups)
        self.y = whiten(y[skip:], rho)
        self.use(*self.factored(penalty))

    def factored(self, penalty: Floats) -> tuple[Floats, Floats, Floats]:
        """Prior precisions of the base's columns, and the ridge projection's factors with them."""
        factor = np.asarray(np.linalg.cholesky(self.gram + np.diag(penalty)), dtype=np.float64)
        half = np.asarray(solve_triangular(factor, self.base.T, lower=True), dtype=np.float64)
        return penalty, factor, half

    def use(self, penalty: Floats, factor: Floats, half: Floats) -> None:
        """Take these precisions from now on."""
        self.penalty, self.factor, self.half = penalty, factor, half

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


def _same_lag(decay: float, order: int, moved: int) -> float:
    """The decay at which ``moved`` carry-overs lag as long in the mean as ``order`` ones did."""
    lag = order * decay / (1 - decay) / moved
    return float(np.clip(lag / (1 + lag), 1e-4, 1 - 1e-4))


class Chain:
    """One Markov chain: current shapes, sizes and noise."""

    def __init__(self, problem: Problem, priors: Priors, rng: np.random.Generator) -> None:
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
        self.sweeps = 0

    def _start(self) -> Floats:
        from scipy.optimize import nnls

        free = np.column_stack([self.problem.free(column) for column in self.columns])
        sizes, _ = nnls(free, self.problem.free(self.problem.y))
        return np.minimum(np.asarray(sizes), 3 * self.priors.size)

    def _noise(self) -> float:
        misfit = float(self.rest @ self.problem.free(self.rest))
        return misfit / self.rng.chisquare(len(self.rest))

    def sweep(self, *, adapt: bool) -> None:
        """Update every channel once, then the noise, and now and then the base's freedom."""
        for channel in self.rng.permutation(len(self.shapes)):
            self._update(int(channel), adapt)
        self.variance = self._noise()
        # A half t is a half normal whose scale is itself drawn.
        scaled = _HEAVY * self.priors.size**2 + self.size**2
        self.spread = np.sqrt(scaled / self.rng.chisquare(_HEAVY + 1, len(scaled)))
        self.sweeps += 1
        if self.sweeps % _LOOSEN == 0:
            for group in GRIDS:
                self._loosen(group)

    def _loosen(self, group: str) -> None:
        """A step freer or stiffer for one group of the base's columns, its coefficients out."""
        problem = self.problem
        penalty = moved_penalty(problem.penalty, problem.groups == group, group, self.rng)
        if penalty is None:
            return

        def score(penalty: Floats, factor: Floats, half: Floats) -> float:
            explained = half @ self.rest
            size = float(np.log(penalty).sum()) / 2 - float(np.log(np.diag(factor)).sum())
            return float(explained @ explained) / self.variance / 2 + size

        proposal = problem.factored(penalty)
        current = (problem.penalty, problem.factor, problem.half)
        if np.log(self.rng.random()) < score(*proposal) - score(*current):
            problem.use(*proposal)

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
            moved = int(self.rng.integers(len(FAMILIES)))
            log_scale += _ALIKE[family] - _ALIKE[moved]
            family = moved
        return decay, order, log_scale, family

    def state(self) -> tuple[Floats, ...]:
        """Current values, with base coefficients at their conditional mean."""
        decay, order, log_scale, family = (
            np.array(part, dtype=np.float64) for part in zip(*self.shapes, strict=True)
        )
        problem = self.problem
        explained = problem.half @ self.rest
        gamma = np.asarray(solve_triangular(problem.factor.T, explained), dtype=np.float64)
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
