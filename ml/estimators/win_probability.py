"""Chance to win an offer, never rising with its price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from ml.estimators.folds import stratified_folds
from ml.estimators.tabular import TabularEncoder
from ml.estimators.threads import num_threads

Floats = NDArray[np.float64]
_FOLDS = 5
_LEAST = 40
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class WinProbability:
    """Classifier of won (1) or lost (0), monotone decreasing in the price column.

    A blend, on the logit scale, of a ridge logistic regression whose price coefficient is held at
    zero or below and gradient-boosted trees with a monotone constraint; the blend's share and a
    Platt calibration of non-negative slope come from out-of-fold predictions, so the blend is
    monotone too. Columns computed from the price (discount, margin, difference to a rival) must
    be left out of X or recomputed for each price asked about.

    After ``fit``: ``classes_`` (0, 1), ``tree_share_`` (weight of the trees), ``encoder_``.
    """

    def __init__(self, *, rounds: int = 150, ridge: float = 1.0, seed: int = 0) -> None:
        self.rounds, self.ridge, self.seed = rounds, ridge, seed

    def fit(self, X: pd.DataFrame, y: Any, price: str = "price") -> WinProbability:
        """Learn from X (rows, columns of any type), y (rows,) of 0/1 or booleans, and the name of
        the price column in X. Raises ValueError for a missing price, or too few of either answer.
        """
        won = _answers(y, len(X))
        self.encoder_ = TabularEncoder.fit(X)
        self.price_ = price
        _check_price(X, price)
        if price in self.encoder_.categories:
            raise ValueError(f"the price column {price!r} must hold numbers")
        matrix = self.encoder_.transform(X)
        folds = stratified_folds(won, np.arange(len(won)), _FOLDS, self.seed)
        held = np.empty((len(won), 2))
        for fold in range(_FOLDS):
            inside = folds != fold
            linear, trees = self._parts(matrix[inside], won[inside])
            held[~inside] = self._logits(linear, trees, matrix[~inside])
        self.tree_share_, self.slope_, self.shift_ = _calibrate(held, won)
        self.linear_, self.trees_ = self._parts(matrix, won)
        self.classes_ = np.array([0, 1])
        return self

    def refit(self, X: pd.DataFrame, y: Any) -> WinProbability:
        """The same blend and calibration, its parts learnt from other rows (a bootstrap's)."""
        other = WinProbability(rounds=self.rounds, ridge=self.ridge, seed=self.seed)
        other.encoder_, other.price_, other.classes_ = self.encoder_, self.price_, self.classes_
        other.tree_share_, other.slope_ = self.tree_share_, self.slope_
        other.shift_ = self.shift_
        _check_price(X, self.price_)
        other.linear_, other.trees_ = other._parts(
            self.encoder_.transform(X), np.asarray(y, dtype=np.float64)
        )
        return other

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Chance of lost and won, (rows, 2). Unknown categories count as missing."""
        _check_price(X, self.price_)
        logits = self._logits(self.linear_, self.trees_, self.encoder_.transform(X))
        blended = logits @ np.array([1 - self.tree_share_, self.tree_share_])
        chance = expit(self.slope_ * blended + self.shift_)
        return np.column_stack([1 - chance, chance])

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """1 where winning is at least as likely as losing."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    def best_price(
        self, X: pd.DataFrame, prices: Any, unit_cost: float = 0.0
    ) -> tuple[float, pd.DataFrame]:
        """The price with the greatest expected margin a unit over the offers in X, and the table
        (price, win_probability, expected_margin) that shows it."""
        prices = np.asarray(prices, dtype=np.float64)
        chances = [
            float(self.predict_proba(X.assign(**{self.price_: value}))[:, 1].mean())
            for value in prices
        ]
        table = pd.DataFrame(
            {
                "price": prices,
                "win_probability": chances,
                "expected_margin": np.array(chances) * (prices - unit_cost),
            }
        )
        return float(prices[int(table["expected_margin"].argmax())]), table

    def _parts(self, matrix: Floats, won: Floats) -> tuple[_Logistic, Any]:
        import lightgbm as lgb

        position = self.encoder_.columns.index(self.price_)
        constraints = [0] * matrix.shape[1]
        constraints[position] = -1
        categorical = self.encoder_.categorical_indices
        data = lgb.Dataset(matrix, won, categorical_feature=categorical, free_raw_data=True)
        parameters = {
            "objective": "binary",
            "learning_rate": 0.05,
            "num_leaves": 8,
            "min_data_in_leaf": max(10, min(40, len(won) // 50)),
            "lambda_l2": 5.0,
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "cat_smooth": 20.0,
            "monotone_constraints": constraints,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": num_threads(),
            "seed": self.seed,
            "verbosity": -1,
        }
        trees = lgb.train(parameters, data, num_boost_round=self.rounds)
        return _Logistic.fit(matrix, won, self.encoder_, position, self.ridge), trees

    def _logits(self, linear: _Logistic, trees: Any, matrix: Floats) -> Floats:
        raw = trees.predict(matrix, raw_score=True, num_threads=num_threads())
        return np.column_stack([linear.logits(matrix), raw])

    def save(self, folder: Path) -> None:
        """Write win_probability.json and win_probability_trees.txt."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.trees_.save_model(str(folder / "win_probability_trees.txt"))
        state = {
            "parameters": {"rounds": self.rounds, "ridge": self.ridge, "seed": self.seed},
            "price": self.price_,
            "encoder": self.encoder_.to_dict(),
            "linear": self.linear_.to_dict(),
            "tree_share": self.tree_share_,
            "slope": self.slope_,
            "shift": self.shift_,
        }
        (folder / "win_probability.json").write_text(json.dumps(state, indent=1))

    @classmethod
    def load(cls, folder: Path) -> WinProbability:
        """What ``save`` wrote; predictions are the same to the last bit."""
        import lightgbm as lgb

        folder = Path(folder)
        state = json.loads((folder / "win_probability.json").read_text())
        model = cls(**state["parameters"])
        model.price_ = state["price"]
        model.encoder_ = TabularEncoder.from_dict(state["encoder"])
        model.linear_ = _Logistic.from_dict(state["linear"], model.encoder_)
        model.trees_ = lgb.Booster(model_file=str(folder / "win_probability_trees.txt"))
        model.tree_share_, model.slope_ = state["tree_share"], state["slope"]
        model.shift_ = state["shift"]
        model.classes_ = np.array([0, 1])
        return model


class _Logistic:
    """Ridge logistic regression on an encoded matrix, the price coefficient at zero or below."""

    def __init__(
        self, encoder: TabularEncoder, centre: Floats, scale: Floats, weights: Floats
    ) -> None:
        self.encoder, self.centre, self.scale, self.weights = encoder, centre, scale, weights

    @classmethod
    def fit(
        cls, matrix: Floats, won: Floats, encoder: TabularEncoder, price: int, ridge: float
    ) -> _Logistic:
        from scipy.optimize import minimize

        known = ~np.isnan(matrix)
        counts = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, matrix, 0.0)
        centre = filled.sum(axis=0) / counts
        scale = np.sqrt(np.where(known, (filled - centre) ** 2, 0.0).sum(axis=0) / counts)
        scale = np.where(scale > 1e-12, scale, 1.0)
        model = cls(encoder, centre, scale, np.empty(0))
        design, place = model._design(matrix), 1 + model._place(price)
        full = np.column_stack([np.ones(len(design)), design])
        sign = 2 * won - 1
        penalty = np.full(full.shape[1], ridge)
        penalty[0] = 0.0

        def loss(weights: Floats) -> tuple[float, Floats]:
            margin = sign * (full @ weights)
            slope = -(sign * expit(-margin)) @ full + penalty * weights
            return float(-log_expit(margin).sum() + 0.5 * penalty @ weights**2), slope

        bounds: list[tuple[float | None, float | None]] = [(None, None)] * full.shape[1]
        bounds[place] = (None, 0.0)
        start = np.zeros(full.shape[1])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        model.weights = np.asarray(found.x)
        return model

    def logits(self, matrix: Floats) -> Floats:
        """Log odds of winning, (rows,)."""
        return np.asarray(self.weights[0] + self._design(matrix) @ self.weights[1:])

    def _place(self, column: int) -> int:
        """First design column of a matrix column (a number takes two: value, missing)."""
        return sum(self._width(earlier) for earlier in range(column))

    def _width(self, column: int) -> int:
        levels = self.encoder.categories.get(self.encoder.columns[column])
        return 2 if levels is None else len(levels)

    def _design(self, matrix: Floats) -> Floats:
        parts = []
        for column, name in enumerate(self.encoder.columns):
            values = matrix[:, column]
            levels = self.encoder.categories.get(name)
            gone = np.isnan(values)
            if levels is None:
                scaled = np.where(gone, 0.0, (values - self.centre[column]) / self.scale[column])
                parts += [scaled[:, None], gone[:, None].astype(np.float64)]
            else:
                parts.append((values[:, None] == np.arange(len(levels))).astype(np.float64))
        return np.column_stack(parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        names = ("centre", "scale", "weights")
        return {name: getattr(self, name).tolist() for name in names}

    @classmethod
    def from_dict(cls, state: dict[str, Any], encoder: TabularEncoder) -> _Logistic:
        """The regression that ``to_dict`` described."""
        return cls(encoder, *(np.array(state[name]) for name in ("centre", "scale", "weights")))


def _answers(y: Any, rows: int) -> Floats:
    won = np.asarray(y)
    if won.shape != (rows,):
        raise ValueError(f"y has shape {won.shape}, X has {rows} rows")
    if pd.isna(won).any():
        raise ValueError("y has missing values; leave offers out that are still open")
    won = won.astype(np.float64)
    if not np.isin(won, (0.0, 1.0)).all():
        raise ValueError("y must hold 0 (lost) and 1 (won) only")
    for value, name in ((0.0, "lost"), (1.0, "won")):
        count = int((won == value).sum())
        if count < _FOLDS or rows < _LEAST:
            raise ValueError(
                f"{rows} offers of which {count} {name}: too few to learn from; at least {_LEAST} "
                f"with {_FOLDS} of each answer are needed"
            )
    return won


def _check_price(X: pd.DataFrame, price: str) -> None:
    if price not in X.columns:
        raise ValueError(f"X has no price column {price!r}; its columns are {list(X.columns)}")
    if X[price].isna().any():
        raise ValueError(
            f"the price column {price!r} has {int(X[price].isna().sum())} missing values"
        )


def _calibrate(held: Floats, won: Floats) -> tuple[float, float, float]:
    """Tree share, slope >= 0 and shift with the least out-of-fold log loss."""
    from scipy.optimize import minimize

    sign = 2 * won - 1
    start = np.array([1.0, 0.0])
    found = []
    for share in _SHARES:
        blended = held @ np.array([1 - share, share])

        def loss(p: Floats, blended: Floats = blended) -> float:
            # A weak pull to (1, 0): with few offers the blend is left as it is.
            fit = -log_expit(sign * (p[0] * blended + p[1])).sum()
            return float(fit + 2.0 * ((p - start) ** 2).sum())

        result = minimize(loss, start, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
        found.append((float(result.fun), share, float(result.x[0]), float(result.x[1])))
    _, share, slope, shift = min(found)
    return share, slope, shift
