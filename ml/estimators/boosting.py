"""Boosted trees on top of a linear model: fit, out-of-fold predictions, contributions, files.

Shared by churn (log-odds) and profitability (money). The trees start from the linear model's
prediction and learn what it leaves, so a small data set gets the linear model and a large one the
interactions; both parts are sums over columns, hence so are the contributions (for the trees
SHAP values, Lundberg et al. 2018, as LightGBM computes them).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.estimators.linear import LinearPart, fit_linear, fit_sized_linear
from ml.estimators.tabular import TabularEncoder
from ml.estimators.threads import num_threads
from ml.estimators.trees import Trees

if TYPE_CHECKING:
    from lightgbm import Booster


@dataclass(frozen=True)
class BoostingOptions:
    """How the two parts are fitted; ``objective`` is ``binary`` or ``regression``.

    With ``size_power`` rows weigh one over this power of their predicted size, and the linear part
    stays straight, so that it goes on beyond the data: see ``fit_sized_linear``.
    """

    objective: str
    learning_rate: float = 0.05
    leaves: int = 8
    least_rows: int = 40
    max_rounds: int = 300
    patience: int = 30
    penalty: float = 10.0
    size_power: float = 0.0
    seed: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def lightgbm(self, rows: int) -> dict[str, Any]:
        """LightGBM's parameters for a training set of so many rows."""
        return {
            "objective": self.objective,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": max(2, min(self.least_rows, rows // 20)),
            "min_data_per_group": max(2, min(100, rows // 20)),
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 10.0,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": num_threads(),
            "boost_from_average": False,
            "verbose": -1,
            **self.extra,
        }


class Boosted:
    """A linear part and LightGBM's trees; ``predict`` is their sum, shape (rows,)."""

    def __init__(self, linear: LinearPart, trees: str) -> None:
        self.linear = linear
        # The trees are read back from their text even when just fitted, so that a model in memory
        # and its loaded copy are the same object bit for bit.
        self.text = trees
        self.trees = Trees(trees)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The raw value: log-odds for ``binary``, else the value itself."""
        return self.linear.predict(matrix) + self.trees.predict(matrix)

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, float]:
        """What each column adds, shape (rows, columns), and the base they start from."""
        columns = matrix.shape[1]
        if not len(matrix) or not self.trees.count:
            return self.linear.contributions(matrix), self.linear.intercept
        shap = self.trees.contributions(matrix)
        base = self.linear.intercept + float(shap[0, columns])
        return shap[:, :columns] + self.linear.contributions(matrix), base

    def save(self, folder: Path, name: str) -> None:
        """Write ``<name>.trees.txt`` and ``<name>.linear.json``."""
        (folder / f"{name}.trees.txt").write_text(self.text, encoding="utf-8")
        (folder / f"{name}.linear.json").write_text(
            json.dumps(self.linear.to_dict()), encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path, name: str) -> Boosted:
        """Read what ``save`` wrote."""
        linear = json.loads((folder / f"{name}.linear.json").read_text(encoding="utf-8"))
        trees = (folder / f"{name}.trees.txt").read_text(encoding="utf-8")
        return cls(LinearPart.from_dict(linear), trees)


def fit_boosted(
    matrix: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    encoder: TabularEncoder,
    options: BoostingOptions,
    weight: np.ndarray | None = None,
) -> tuple[Boosted, np.ndarray]:
    """The model on all rows, and the out-of-fold raw prediction of each row.

    ``folds`` has the fold of each row. The number of rounds is the median of what early stopping
    finds on the folds left out; nothing of a fold reaches the model that predicts it.
    """
    numbers = sorted(set(folds.tolist()))
    parts = [_fit_fold(matrix, y, folds == number, encoder, options, weight) for number in numbers]
    rounds = round(float(np.median([booster.best_iteration for _, booster in parts])))
    held_out = np.empty(len(y))
    for number, (linear, booster) in zip(numbers, parts, strict=True):
        rows = folds == number
        held_out[rows] = linear.predict(matrix[rows])
        if rounds:
            held_out[rows] += booster.predict(matrix[rows], raw_score=True, num_iteration=rounds)
    linear, weight = _linear(matrix, y, encoder, options, weight)
    booster = _train(matrix, y, weight, linear, encoder, options, rounds)
    return Boosted(linear, booster.model_to_string(num_iteration=rounds or -1)), held_out


def _fit_fold(
    matrix: np.ndarray,
    y: np.ndarray,
    out: np.ndarray,
    encoder: TabularEncoder,
    options: BoostingOptions,
    weight: np.ndarray | None,
) -> tuple[LinearPart, Booster]:
    inside = None if weight is None else weight[~out]
    linear, inside = _linear(matrix[~out], y[~out], encoder, options, inside)
    valid = (matrix[out], y[out], None if weight is None else weight[out])
    booster = _train(
        matrix[~out], y[~out], inside, linear, encoder, options, options.max_rounds, valid
    )
    return linear, booster


def _linear(
    matrix: np.ndarray,
    y: np.ndarray,
    encoder: TabularEncoder,
    options: BoostingOptions,
    weight: np.ndarray | None,
) -> tuple[LinearPart, np.ndarray | None]:
    """The linear part, and the weights that the trees go on with."""
    sizes = {i: len(encoder.categories[encoder.columns[i]]) for i in encoder.categorical_indices}
    if options.size_power:
        return fit_sized_linear(
            matrix,
            y,
            sizes=sizes,
            power=options.size_power,
            penalty=options.penalty,
            weight=weight,
            seed=options.seed,
        )
    linear = fit_linear(
        matrix,
        y,
        sizes=sizes,
        logistic=options.objective == "binary",
        curved=True,
        penalty=options.penalty,
        weight=weight,
        seed=options.seed,
    )
    return linear, weight


def _train(
    matrix: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    linear: LinearPart,
    encoder: TabularEncoder,
    options: BoostingOptions,
    rounds: int,
    valid: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None,
) -> Booster:
    import lightgbm

    categorical = [
        i for i in encoder.categorical_indices if len(encoder.categories[encoder.columns[i]]) > 1
    ]
    data = lightgbm.Dataset(
        matrix,
        y,
        weight=weight,
        init_score=linear.predict(matrix),
        categorical_feature=categorical,
        params={"verbose": -1},
    )
    params = options.lightgbm(len(y))
    if valid is None:
        return lightgbm.train(params, data, num_boost_round=max(rounds, 1))
    left, left_y, left_weight = valid
    watch = data.create_valid(left, left_y, weight=left_weight, init_score=linear.predict(left))
    stop = lightgbm.early_stopping(options.patience, verbose=False)
    return lightgbm.train(
        params, data, num_boost_round=max(rounds, 1), valid_sets=[watch], callbacks=[stop]
    )
