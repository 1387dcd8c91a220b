"""From a model's log-odds to probabilities that mean what they say, learned out of fold.

Platt's scaling (1999) with his smoothed targets always; with enough rows of both outcomes also a
centred isotonic correction (Oron and Flournoy 2017) shrunk towards it. Both are kept as knots of
one strictly increasing line in log-odds, so ranking never changes and prediction is ``np.interp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.estimators.isotonic import centred_isotonic, strictly

_FAR = 60.0  # log-odds beyond any model's
_CERTAIN = 36.0  # log-odds beyond which a float cannot tell a probability from 1
_LEAST_CLASS = 200  # rows of the rarer outcome before the shape is corrected
_PRIOR = 50.0  # rows of Platt's opinion in each bin


@dataclass(frozen=True)
class Calibration:
    """A strictly increasing, piecewise linear map of log-odds: ``knots`` to ``values``."""

    knots: np.ndarray
    values: np.ndarray

    @classmethod
    def fit(
        cls, margin: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None
    ) -> Calibration:
        """Learn from out-of-fold log-odds ``margin`` and outcomes ``y`` (0 or 1), shape (rows,)."""
        weight = np.ones(len(y)) if weight is None else weight / weight.mean()
        slope, shift = _platt(margin, y, weight)
        ends = np.array([-_FAR, _FAR])
        rarer = min(float(weight[y == 1].sum()), float(weight[y == 0].sum()))
        if rarer < _LEAST_CLASS:
            return cls(ends, slope * ends + shift)
        centers, rates = centred_isotonic(
            margin,
            y,
            weight,
            bins=int(min(20, max(3, rarer // 50))),
            prior=expit(slope * margin + shift),
            prior_rows=_PRIOR,
        )
        rates = np.clip(rates, 1e-6, 1 - 1e-6)
        values = strictly(np.log(rates / (1 - rates)))
        knots = np.concatenate([ends[:1], centers, ends[1:]])
        # Beyond the outermost bins the line goes on at Platt's slope.
        low = values[0] - slope * (centers[0] - ends[0])
        high = values[-1] + slope * (ends[1] - centers[-1])
        return cls(knots, np.concatenate([[low], values, [high]]))

    def log_odds(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, same shape."""
        return np.interp(margin, self.knots, self.values)

    def probability(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probability in (0, 1), same shape."""
        return expit(self.log_odds(margin))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"knots": self.knots.tolist(), "values": self.values.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Calibration:
        """The map that ``to_dict`` described."""
        return cls(np.array(state["knots"]), np.array(state["values"]))


def expit(log_odds: np.ndarray) -> np.ndarray:
    """Probability of log-odds, never 0 or 1."""
    return 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(log_odds, -_CERTAIN), _CERTAIN)))


def _platt(margin: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and shift of the logistic fit by Newton's method; the slope is kept positive."""
    ones, zeros = float(weight[y == 1].sum()), float(weight[y == 0].sum())
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    design = np.column_stack([margin, np.ones(len(margin))])
    effects = np.array([1.0, 0.0])
    for _ in range(50):
        chance = expit(design @ effects)
        curvature = np.maximum(weight * chance * (1 - chance), 1e-12)
        gram = design.T @ (design * curvature[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(gram, design.T @ (weight * (target - chance)))
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        effects = effects + step
        if np.abs(step).max() < 1e-9:
            break
    if effects[0] < 0.02:
        # The ranking is worthless or reversed: say the base rate, almost flat.
        rate = (ones + 1) / (ones + zeros + 2)
        return 0.02, float(np.log(rate / (1 - rate)) - 0.02 * np.average(margin, weights=weight))
    return float(effects[0]), float(effects[1])
