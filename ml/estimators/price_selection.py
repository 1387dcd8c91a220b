"""How winning answers to the part of a price that nothing known explains, and what may hide in it.

A seller quotes by what is known of an offer and by what only the seller saw; both may sway the
answer too. The first is taken out of the price and of the chance by models of other clients'
offers (cross-fitting); the slope of winning is read off what is left. How far the second may
mislead is judged by the first: if dear offers went to those who would buy anyway in all that the
columns show, they did so in what no column shows (selection on observables as a guide to selection
on unobservables).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ml.estimators.boosting import Boosted, BoostingOptions, fit_boosted
from ml.estimators.tabular import TabularEncoder

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_RESAMPLES = 40
#: Of the price's own variance, hidden reasons have at least this share, whatever the columns say.
_LEAST_HIDDEN = 0.02


@dataclass(frozen=True)
class Explained:
    """What columns explain of one outcome: the model of all rows, and each row as seen by others.

    ``held_out`` (rows,): the prediction of a model that never saw the row's client.
    """

    encoder: TabularEncoder
    model: Boosted
    held_out: Floats

    @classmethod
    def fit(cls, X: pd.DataFrame, y: Floats, folds: Ints, objective: str, seed: int) -> Explained:
        """``objective`` is ``binary`` (predictions are log odds) or ``regression``."""
        encoder = TabularEncoder.fit(X)
        options = BoostingOptions(objective=objective, penalty=3.0, seed=seed)
        model, held = fit_boosted(encoder.transform(X), y, folds, encoder, options)
        return cls(encoder, model, held)

    def predict(self, X: pd.DataFrame) -> Floats:
        """For rows not learnt from, (rows,)."""
        return self.model.predict(self.encoder.transform(X))


@dataclass(frozen=True)
class Logit:
    """A logistic regression: weights (columns,), chances (rows,), inverse curvature."""

    weights: Floats
    chance: Floats
    inverse: Floats

    @classmethod
    def fit(cls, design: Floats, won: Floats, mass: Floats | None = None) -> Logit:
        """Newton's method; a whisper of a ridge keeps separable groups finite."""
        mass = np.ones(len(won)) if mass is None else mass
        weights = np.zeros(design.shape[1])
        ridge = 1e-3
        for _ in range(40):
            chance = expit(design @ weights)
            curve = mass * np.maximum(chance * (1 - chance), 1e-9)
            bend = (design * curve[:, None]).T @ design + ridge * np.eye(len(weights))
            step = np.linalg.solve(bend, design.T @ (mass * (won - chance)) - ridge * weights)
            # A step of more than 5 in log odds is where Newton's method runs off.
            weights = weights + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
            if np.abs(step).max() < 1e-9:
                break
        return cls(weights, expit(design @ weights), np.linalg.inv(bend))

    def covariance(self, design: Floats, won: Floats, clusters: Ints) -> Floats:
        """Of the weights, robust to anything that hangs together in a cluster."""
        scores = design * (won - self.chance)[:, None]
        count = int(clusters.max()) + 1
        summed = np.column_stack(
            [np.bincount(clusters, weights=column, minlength=count) for column in scores.T]
        )
        summed *= np.sqrt(count / max(count - 1, 1))
        return np.asarray(self.inverse @ (summed.T @ summed) @ self.inverse)


@dataclass(frozen=True)
class Hidden:
    """By how much hidden reasons may have lifted every slope: a best guess and its deviation.

    ``lift`` is of the log odds with log price: true slope = slope - lift. ``least`` is the reach
    to either side that is allowed for even where nothing points to hidden reasons.
    """

    lift: float
    deviation: float
    least: float

    def reach(self) -> tuple[float, float]:
        """Least and greatest lift; continuous in the guess, with 0 between them."""
        other = max(0.0, self.least - abs(self.lift))
        far = max(abs(self.lift), self.least)
        return (-other, far) if self.lift >= 0 else (-far, other)


def local_levels(values: Floats, cells: Ints, folds: Ints) -> tuple[Floats, Floats]:
    """What the rows of a cell (a service in a month) have in common, as seen by other clients.

    A cell's mean deviation over the rows of other folds, drawn to 0 as far as few rows speak for
    it, and the variance that this leaves of it, (rows,) each; the variances are those of a one-way
    analysis. Zeros where there is nothing in common.
    """
    count = int(cells.max()) + 1
    rows = np.bincount(cells, minlength=count)
    means = np.bincount(cells, weights=values, minlength=count) / np.maximum(rows, 1)
    free = len(values) - int((rows > 0).sum())
    if free < 1:
        return np.zeros(len(values)), np.zeros(len(values))
    within = float(((values - means[cells]) ** 2).sum()) / free
    between = float((rows * (means - values.mean()) ** 2).sum()) - within * ((rows > 0).sum() - 1)
    between = max(between, 0.0) / max(len(values) - float((rows**2).sum()) / len(values), 1e-12)
    found, doubt = np.zeros(len(values)), np.zeros(len(values))
    for fold in np.unique(folds):
        inside = folds != fold
        seen = np.bincount(cells[inside], minlength=count)
        deviation = values - values[inside].mean()
        total = np.bincount(cells[inside], weights=deviation[inside], minlength=count)
        divisor = between * seen + within + 1e-300
        found[~inside] = (between * total / divisor)[cells[~inside]]
        doubt[~inside] = (between * within / divisor)[cells[~inside]]
    return found, doubt


def hidden_lift(
    left: Floats,
    circumstances: Floats,
    baseline: Floats,
    won: Floats,
    clusters: Ints,
    strength: float,
    seed: int,
) -> Hidden:
    """How far reasons that no column shows may have lifted the slope.

    ``left`` (rows,): log price less what service, segment and time explain; ``circumstances``
    (rows, k): what is known of the single offer, less the same; ``baseline`` (rows,): log odds
    that service, segment and time explain. The lift is that of hidden circumstances which price
    follows as it follows the known ones, by unit of log odds, and which explain ``strength`` times
    as much of winning as all that is known (Altonji, Elder and Taber 2005; Oster 2019).
    """
    spread = circumstances.std(axis=0)
    scaled = circumstances[:, spread > 1e-9] / spread[spread > 1e-9]
    if not scaled.shape[1]:
        # Nothing is known of the single offer, so price may follow hidden reasons and no others.
        slope = Logit.fit(np.column_stack([left, np.ones(len(won)), baseline]), won).weights[0]
        return Hidden(0.0, 0.0, float(np.sqrt(strength) * abs(slope)))
    rng = np.random.default_rng(seed)
    count = int(clusters.max()) + 1
    draws = rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(np.float64)
    lift, least = _lift(left, scaled, baseline, won, np.ones(len(won)), strength)
    others = [_lift(left, scaled, baseline, won, draw[clusters], strength)[0] for draw in draws]
    return Hidden(lift, float(np.std(others, ddof=1)), least)


def _lift(
    left: Floats, known: Floats, baseline: Floats, won: Floats, mass: Floats, strength: float
) -> tuple[float, float]:
    ones = np.ones(len(won))
    fit = Logit.fit(np.column_stack([left, known, ones, baseline]), won, mass)
    at = slice(1, 1 + known.shape[1])
    index = known @ fit.weights[at]
    both = np.cov(np.column_stack([left, index, fit.weights[0] * left + index]).T, aweights=mass)
    # The index is estimated, which adds to its variance and nothing to its going with the price.
    noise = float(np.trace(fit.inverse[at, at] @ np.atleast_2d(np.cov(known.T, aweights=mass))))
    follows = both[0, 1] / max(both[1, 1] - noise, noise, 1e-12)
    root = np.sqrt(mass)[:, None]
    design = np.column_stack([known, ones])
    rest = left - design @ np.linalg.lstsq(root * design, root[:, 0] * left, rcond=1e-9)[0]
    own = float(np.average(rest**2, weights=mass))
    hidden = strength * float(both[2, 2])
    most = np.sqrt(hidden / own)  # where price follows hidden reasons and nothing else
    return float(np.clip(follows * hidden / own, -most, most)), float(np.sqrt(_LEAST_HIDDEN) * most)
