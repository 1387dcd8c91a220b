"""A mean in money from two models: a straight one for the large, a compressed one for the rest.

A model of asinh(money) ranks clients best but cannot say a mean; a model of money itself can, and
its linear part goes on beyond the data, but a few giants decide it. The compressed score is mapped
back to money by its own out-of-fold means, and the two are mixed by that size; out-of-fold error
says from which size on the straight one is heard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.estimators.boosting import Boosted, BoostingOptions, fit_boosted
from ml.estimators.isotonic import centred_isotonic, strictly
from ml.estimators.tabular import TabularEncoder

_BEND = 0.2  # asinh turns from straight to logarithmic at this share of the mean size
_POWER = 0.75  # between least squares (0) and variance growing with the mean (1)
_EVENS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)  # in mean sizes


@dataclass(frozen=True)
class MoneyModel:
    """Both models and the map between them, on money divided by its mean size.

    ``knots`` to ``means`` maps the compressed score, uncompressed, to mean money, with ``slope``
    beyond the last knot; at size ``even`` both models count half; ``scale`` makes the total right.
    """

    compressed: Boosted
    straight: Boosted
    knots: np.ndarray
    means: np.ndarray
    slope: float
    even: float
    scale: float = 1.0

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Expected scaled money, shape (rows,)."""
        money = self._money(self.compressed.predict(matrix))
        return self.scale * _mixed(money, self.straight.predict(matrix), self.even)[0]

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each column adds (rows, columns), and the base each row starts from (rows,)."""
        moves, start = self.compressed.contributions(matrix)
        score = moves.sum(axis=1)
        low = float(self._money(np.array([start]))[0])
        # One factor a row carries the compressed contributions over to money, sum kept.
        risen = self._money(score + start) - low
        factor = np.divide(risen, score, out=np.zeros_like(score), where=np.abs(score) > 1e-9)
        straight, level = self.straight.contributions(matrix)
        _, share = _mixed(self._money(score + start), level + straight.sum(axis=1), self.even)
        both = share[:, None] * straight + ((1 - share) * factor)[:, None] * moves
        return self.scale * both, self.scale * (share * level + (1 - share) * low)

    def _money(self, score: np.ndarray) -> np.ndarray:
        size = _uncompressed(score)
        beyond = np.maximum(size - self.knots[-1], 0.0) * self.slope
        below = np.minimum(size - self.knots[0], 0.0) * 1e-4  # keeps the ranking
        return np.interp(size, self.knots, self.means) + beyond + below

    def save(self, folder: Path, name: str) -> None:
        """Write LightGBM text and JSON files that begin with ``name``."""
        self.compressed.save(folder, f"{name}.compressed")
        self.straight.save(folder, f"{name}.straight")
        state: dict[str, Any] = {
            "knots": self.knots.tolist(),
            "means": self.means.tolist(),
            "slope": self.slope,
            "even": self.even,
            "scale": self.scale,
        }
        (folder / f"{name}.money.json").write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> MoneyModel:
        """Read what ``save`` wrote."""
        path = folder / f"{name}.money.json"
        state: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            Boosted.load(folder, f"{name}.compressed"),
            Boosted.load(folder, f"{name}.straight"),
            np.array(state["knots"]),
            np.array(state["means"]),
            state["slope"],
            state["even"],
            state["scale"],
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
    straight, straight_out = fit_boosted(
        matrix, y, folds, encoder, replace(options, size_power=_POWER), weight
    )
    mass = np.ones(len(y)) if weight is None else weight / weight.mean()
    bins = int(np.clip(len(y) // 50, 3, 40))
    knots, means = centred_isotonic(_uncompressed(scores), y, mass, bins)
    draft = MoneyModel(compressed, straight, knots, strictly(means), _end(knots, means), 1.0)
    money = draft._money(scores)
    even = _best_even(money, straight_out, y, mass)
    held_out = _mixed(money, straight_out, even)[0]
    scale = _scale(held_out, y, mass)
    return replace(draft, even=even, scale=scale), held_out * scale


def _uncompressed(score: np.ndarray) -> np.ndarray:
    return _BEND * np.sinh(np.clip(score, -30.0, 30.0))


def _mixed(money: np.ndarray, straight: np.ndarray, even: float) -> tuple[np.ndarray, np.ndarray]:
    """The mixture, and the straight model's share of it, both (rows,)."""
    size = np.maximum(money, 0.0)
    share = size / (even + size)
    return share * straight + (1 - share) * money, share


def _scale(held_out: np.ndarray, y: np.ndarray, mass: np.ndarray) -> float:
    """What the out-of-fold total is short of; 1 where the total is too near zero to say."""
    total, found = float(mass @ y), float(mass @ held_out)
    if min(total, found) <= 0.2 * float(mass @ np.abs(y)):
        return 1.0
    return float(np.clip(total / found, 0.8, 1.25))


def _best_even(money: np.ndarray, straight: np.ndarray, y: np.ndarray, mass: np.ndarray) -> float:
    """The size of half and half with the least error, rows weighing as in the straight model."""
    by = mass * np.maximum(money, 0.5) ** -_POWER
    errors = [float(by @ (y - _mixed(money, straight, even)[0]) ** 2) for even in _EVENS]
    return _EVENS[int(np.argmin(errors))]


def _end(knots: np.ndarray, means: np.ndarray) -> float:
    """How steeply the map goes on beyond its last knot: as over its last few."""
    back = min(5, len(knots) - 1)
    if not back:
        return 1e-4
    return max(float((means[-1] - means[-1 - back]) / (knots[-1] - knots[-1 - back])), 1e-4)
