"""What margin a client will bring: an unbiased mean, a ranking, and conformal intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.estimators.boosting import Boosted, BoostingOptions, fit_boosted
from ml.estimators.conformal import ResidualBands
from ml.estimators.folds import group_codes, stratified_folds
from ml.estimators.money import MoneyModel, fit_money
from ml.estimators.tabular_model import TabularModel, check_target, check_weight, fit_encoder

if TYPE_CHECKING:
    import pandas as pd


class MarginRegressor(TabularModel):
    """Regressor for heavy-tailed money of either sign; ``predict`` estimates the mean.

    Give ``groups`` (say the client of each row) where one client has several rows. Intervals are
    conformal, from out-of-fold residuals, scaled by a second, small model of their size.
    """

    model_: MoneyModel
    unit_: float
    difficulty_: Boosted
    bands_: ResidualBands
    floor_: float
    least_: float | None
    out_of_fold_: np.ndarray

    def __init__(
        self,
        learning_rate: float = 0.03,
        leaves: int = 8,
        max_rounds: int = 300,
        folds: int = 5,
        seed: int = 0,
        least_rows: int = 40,
    ) -> None:
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.max_rounds = max_rounds
        self.folds = folds
        self.seed = seed
        self.least_rows = least_rows

    def fit(
        self, X: pd.DataFrame, y: object, groups: object = None, sample_weight: object = None
    ) -> Self:
        """Learn from X of shape (rows, columns) and y in money, shape (rows,).

        Raises TooFewRowsError below ``least_rows`` rows or with fewer groups than ``folds``,
        ValueError on outcomes that are missing or infinite.
        """
        encoder = fit_encoder(X)
        target = np.asarray(check_target(y, len(X), self.least_rows), dtype=np.float64)
        if not np.isfinite(target).all():
            raise ValueError("y has infinite values; margins must be finite")
        given = check_weight(sample_weight, len(X))
        folds = stratified_folds(target, group_codes(groups, len(X)), self.folds, self.seed)
        matrix = encoder.transform(X)
        unit = float(np.abs(target).mean()) or 1.0
        options = self._options(self.max_rounds)
        model, held_out = fit_money(matrix, target / unit, folds, encoder, options, given)
        residual = target / unit - held_out
        size, sizes = fit_boosted(
            matrix, np.abs(residual), folds, encoder, self._options(60), given
        )
        self.unit_ = unit
        self.floor_ = float(max(0.05 * np.abs(residual).mean(), 1e-9))
        self.encoder_, self.model_, self.difficulty_ = encoder, model, size
        self.bands_ = ResidualBands.fit(residual, np.maximum(sizes, self.floor_))
        # A margin never seen below zero has no lower end below it.
        self.least_ = 0.0 if target.min() >= 0 else None
        self.out_of_fold_ = held_out * unit
        self.importance_ = self._importance(matrix, self.seed)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Expected margin in money, shape (rows,)."""
        matrix = self._matrix(X)
        return self.model_.predict(matrix) * self.unit_

    def predict_interval(self, X: pd.DataFrame, coverage: float = 0.8) -> np.ndarray:
        """Low and high in money, shape (rows, 2), that hold the margin with this chance."""
        return self.predict_quantiles(X, ends(coverage))

    def predict_quantiles(self, X: pd.DataFrame, levels: tuple[float, ...]) -> np.ndarray:
        """Margin in money that is not exceeded with each chance, shape (rows, len(levels)).

        ``(0.5,)`` is the median, the figure with the least absolute error.
        """
        matrix = self._matrix(X)
        return self.expected(matrix, levels)[1]

    def expected(
        self, matrix: np.ndarray, levels: tuple[float, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """``predict`` (rows,) and ``predict_quantiles`` (rows, levels) of an encoded matrix."""
        center = self.model_.predict(matrix)
        difficulty = np.maximum(self.difficulty_.predict(matrix), self.floor_)
        moved = [center + self.bands_.quantile(difficulty, level) for level in levels]
        money = np.column_stack(moved) * self.unit_
        if self.least_ is not None:
            money = np.maximum(money, self.least_)
        return center * self.unit_, money

    def moves(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Money that each column adds (rows, columns), and the base of each row (rows,).

        Their sum is the prediction.
        """
        moves, base = self.model_.contributions(matrix)
        return moves * self.unit_, base * self.unit_

    def save(self, folder: Path) -> None:
        """Write LightGBM text and JSON into ``folder``."""
        self._require_fitted()
        state: dict[str, Any] = {
            "unit": self.unit_,
            "floor": self.floor_,
            "least": self.least_,
            "bands": self.bands_.to_dict(),
        }
        self._save(folder, state)
        self.model_.save(folder, "model")
        self.difficulty_.save(folder, "difficulty")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that ``save`` wrote; predictions are the same bit for bit."""
        model, state = cls._load(folder)
        model.model_ = MoneyModel.load(folder, "model")
        model.unit_, model.floor_ = state["unit"], state["floor"]
        model.least_ = state["least"]
        model.bands_ = ResidualBands.from_dict(state["bands"])
        model.difficulty_ = Boosted.load(folder, "difficulty")
        return model

    def _options(self, rounds: int) -> BoostingOptions:
        return BoostingOptions(
            objective="regression",
            learning_rate=self.learning_rate,
            leaves=self.leaves,
            max_rounds=rounds,
            seed=self.seed,
        )


def ends(coverage: float) -> tuple[float, float]:
    """The two levels between which a share ``coverage`` lies."""
    if not 0 < coverage < 1:
        raise ValueError(f"coverage is {coverage}; give a share between 0 and 1, such as 0.8")
    tail = (1 - coverage) / 2
    return tail, 1 - tail
