"""A mean in money from two models: a linear one for the large, a compressed one for the rest.

Boosted trees on asinh(money) rank clients best but cannot say a mean; a linear model in money can,
and goes on beyond the data, but a few giants decide it. The compressed score is mapped back to
money by its own out-of-fold means, and the two are mixed by that size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.estimators.boosting import Boosted, BoostingOptions, fit_boosted, level_counts
from ml.estimators.isotonic import centred_isotonic, strictly
from ml.estimators.linear import LinearPart, fit_sized_linear
from ml.estimators.tabular import TabularEncoder

_BEND = 0.2  # asinh turns from straight to logarithmic at this share of the mean size
_POWER = 0.75  # between least squares (0) and variance growing with the mean (1)
_PENALTY = 10.0


@dataclass(frozen=True)
class MoneyModel:
    """Both models and the map between them, on money divided by its mean size.

    ``knots`` to ``means`` is the map of the compressed score to money, with ``slope`` beyond the
    last knot.
    """

    compressed: Boosted
    straight: LinearPart
    knots: np.ndarray
    means: np.ndarray
    slope: float

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Expected scaled money, shape (rows,)."""
        return self._mix(self.compressed.predict(matrix), self.straight.predict(matrix))[0]

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each column adds (rows, columns), and the base each row starts from (rows,)."""
        moves, start = self.compressed.contributions(matrix)
        score = moves.sum(axis=1)
        low = float(self._money(np.array([start]))[0])
        # One factor a row carries the compressed contributions over to money, sum kept.
        risen = self._money(score + start) - low
        factor = np.divide(risen, score, out=np.zeros_like(score), where=np.abs(score) > 1e-9)
        linear = self.straight.contributions(matrix)
        _, share = self._mix(score + start, self.straight.predict(matrix))
        both = share[:, None] * linear + ((1 - share) * factor)[:, None] * moves
        return both, share * self.straight.intercept + (1 - share) * low

    def _mix(self, score: np.ndarray, straight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        money = self._money(score)
        size = np.maximum(money, 0.0)
        share = size / (1.0 + size)  # half and half for a client of the mean size
        return share * straight + (1 - share) * money, share

    def _money(self, score: np.ndarray) -> np.ndarray:
        beyond = np.maximum(score - self.knots[-1], 0.0) * self.slope
        below = np.minimum(score - self.knots[0], 0.0) * 1e-4  # keeps the ranking
        return np.interp(score, self.knots, self.means) + beyond + below

    def save(self, folder: Path, name: str) -> None:
        """Write LightGBM text and JSON files that begin with ``name``."""
        self.compressed.save(folder, name)
        state: dict[str, Any] = {
            "straight": self.straight.to_dict(),
            "knots": self.knots.tolist(),
            "means": self.means.tolist(),
            "slope": self.slope,
        }
        (folder / f"{name}.money.json").write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> MoneyModel:
        """Read what ``save`` wrote."""
        path = folder / f"{name}.money.json"
        state: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            Boosted.load(folder, name),
            LinearPart.from_dict(state["straight"]),
            np.array(state["knots"]),
            np.array(state["means"]),
            state["slope"],
        )


def fit_money(
    matrix: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    encoder: TabularEncoder,
    options: BoostingOptions,
    weight: np.ndarray | None = None,
) -> tuple[MoneyModel, np.ndarray]:
    """The model of scaled money ``y`` (rows,), and its out-of-fold predictions (rows,)."""
    compressed, scores = fit_boosted(matrix, np.arcsinh(y / _BEND), folds, encoder, options, weight)
    sizes = level_counts(encoder)

    def straight(rows: np.ndarray) -> LinearPart:
        return fit_sized_linear(
            matrix[rows],
            y[rows],
            sizes=sizes,
            power=_POWER,
            penalty=_PENALTY,
            weight=None if weight is None else weight[rows],
            seed=options.seed,
        )

    linear_out = np.empty(len(y))
    for number in np.unique(folds):
        inside = folds != number
        linear_out[~inside] = straight(inside).predict(matrix[~inside])
    mass = np.ones(len(y)) if weight is None else weight / weight.mean()
    knots, means = centred_isotonic(scores, y, mass, bins=int(np.clip(len(y) // 50, 3, 40)))
    model = MoneyModel(
        compressed,
        straight(np.ones(len(y), dtype=bool)),
        knots,
        strictly(means),
        _end(knots, means),
    )
    return model, model._mix(scores, linear_out)[0]


def _end(knots: np.ndarray, means: np.ndarray) -> float:
    """How steeply the map goes on beyond its last knot: as over its last few."""
    back = min(5, len(knots) - 1)
    if not back:
        return 1e-4
    return max(float((means[-1] - means[-1 - back]) / (knots[-1] - knots[-1 - back])), 1e-4)
