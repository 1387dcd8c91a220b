"""Which clients stop buying: calibrated boosted trees on a logistic model, with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.estimators.boosting import Boosted, BoostingOptions, fit_boosted
from ml.estimators.calibration import Calibration
from ml.estimators.folds import TooFewRowsError, group_codes, stratified_folds
from ml.estimators.tabular_model import TabularModel, check_target, check_weight, fit_encoder

if TYPE_CHECKING:
    import pandas as pd


class ChurnClassifier(TabularModel):
    """Binary classifier of any mixed DataFrame; ``predict_proba`` is calibrated out of fold.

    Give ``groups`` (say the client of each row) where one client has several rows, so that its
    rows never sit on both sides of a fold.
    """

    model_: Boosted
    classes_: np.ndarray
    calibration_: Calibration
    out_of_fold_: np.ndarray

    def __init__(
        self,
        learning_rate: float = 0.05,
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
        self,
        X: pd.DataFrame,
        y: object,
        groups: object = None,
        sample_weight: object = None,
    ) -> Self:
        """Learn from X of shape (rows, columns) and y with two values (the later sorts as churn).

        Raises TooFewRowsError below ``least_rows`` rows, 5 rows (and groups) of either outcome, or
        with one outcome only, ValueError on more than two or missing outcomes.
        """
        encoder = fit_encoder(X)
        values = check_target(y, len(X), self.least_rows)
        weight = check_weight(sample_weight, len(X))
        classes, target = _two_classes(values)
        codes = group_codes(groups, len(X))
        folds = self._folds(target, codes)
        matrix = encoder.transform(X)
        options = BoostingOptions(
            objective="binary",
            learning_rate=self.learning_rate,
            leaves=self.leaves,
            max_rounds=self.max_rounds,
            seed=self.seed,
        )
        model, held_out = fit_boosted(matrix, target, folds, encoder, options, weight)
        self.encoder_, self.model_, self.classes_ = encoder, model, classes
        self.calibration_ = Calibration.fit(held_out, target, weight)
        self.out_of_fold_ = self.calibration_.probability(held_out)
        self.importance_ = self._importance(matrix, self.seed)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probability of each of ``classes_``, shape (rows, 2)."""
        matrix = self._matrix(X)
        churn = self.probability(matrix)
        return np.column_stack([1.0 - churn, churn])

    def probability(self, matrix: np.ndarray) -> np.ndarray:
        """Probability of the later of ``classes_``, encoded matrix to shape (rows,)."""
        return self.calibration_.probability(self.model_.predict(matrix))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The likelier of ``classes_``, shape (rows,)."""
        return self.classes_[(self.predict_proba(X)[:, 1] >= 0.5).astype(int)]

    def moves(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds that each column adds (rows, columns), and the base of each row (rows,).

        Their sum is the log-odds of the calibrated probability: calibration stretches all of a
        row's contributions by one factor.
        """
        moves, base = self.model_.contributions(matrix)
        start = float(self.calibration_.log_odds(np.array([base]))[0])
        raw = moves.sum(axis=1)
        risen = self.calibration_.log_odds(raw + base) - start
        factor = np.divide(risen, raw, out=np.ones_like(raw), where=np.abs(raw) > 1e-9)
        return moves * factor[:, None], np.full(len(matrix), start)

    def save(self, folder: Path) -> None:
        """Write LightGBM text and JSON into ``folder``."""
        self._require_fitted()
        state: dict[str, Any] = {
            "classes": self.classes_.tolist(),
            "calibration": self.calibration_.to_dict(),
        }
        self._save(folder, state)
        self.model_.save(folder, "model")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that ``save`` wrote; predictions are the same bit for bit."""
        model, state = cls._load(folder)
        model.model_ = Boosted.load(folder, "model")
        model.classes_ = np.array(state["classes"])
        model.calibration_ = Calibration.from_dict(state["calibration"])
        return model

    def _folds(self, target: np.ndarray, codes: np.ndarray) -> np.ndarray:
        least = min(len(np.unique(codes[target == k])) for k in (0, 1))
        if least < 5:
            raise TooFewRowsError(
                f"the rarer outcome has {least} rows (or groups); at least 5 are needed to learn"
                " and to calibrate: give more history or a longer horizon"
            )
        return stratified_folds(target, codes, min(self.folds, least), self.seed)


def _two_classes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) == 1:
        raise TooFewRowsError(
            f"every outcome is {classes.tolist()[0]!r}; both are needed to tell them apart"
        )
    if len(classes) != 2:
        shown = classes[:5].tolist()
        raise ValueError(
            f"y has {len(classes)} different values ({shown}); two outcomes are needed,"
            " such as 0 (stayed) and 1 (left)"
        )
    return classes, codes.astype(np.float64)
