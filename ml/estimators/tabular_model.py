"""What the two client models share: parameters, checks of X and y, reasons, files."""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.estimators.folds import TooFewRowsError
from ml.estimators.reasons import Cells, top_reasons
from ml.estimators.tabular import TabularEncoder

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE = 2000


class NotFittedError(ValueError, AttributeError):
    """The model was asked before it was fitted or loaded."""


class TabularModel(ABC):
    """scikit-learn's parameter conventions without importing it, and per-row contributions.

    What takes a DataFrame needs pandas; what takes a ``matrix``, as ``encoder_`` makes it, numpy
    alone. A row's figures never depend on the rows beside it, not by a bit.
    """

    encoder_: TabularEncoder
    importance_: dict[str, float]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; unknown names are refused."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {list(known)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({given})"

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the fitted columns."""
        self._require_fitted()
        return np.array(self.encoder_.columns, dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of the fitted columns."""
        return len(self.feature_names_in_)

    @property
    def feature_importance_(self) -> pd.Series:
        """Mean size of each column's contributions, largest first."""
        import pandas as pd

        self._require_fitted()
        return pd.Series(self.importance_, dtype=np.float64)

    def reasons(self, X: pd.DataFrame, top: int = 3) -> list[list[dict[str, Any]]]:
        """For each row the ``top`` strongest columns: feature, value, signed contribution."""
        return self.reasons_of(self._matrix(X), lambda name, rows: X[name].iloc[rows].tolist(), top)

    def reasons_of(
        self, matrix: np.ndarray, cells: Cells, top: int = 3
    ) -> list[list[dict[str, Any]]]:
        """The same of an encoded matrix; ``cells`` gives the values before they were encoded."""
        return top_reasons(self.encoder_.columns, self.moves(matrix)[0], cells, top)

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame:
        """What each column adds to a row's prediction, shape (rows, columns); see ``explain``."""
        return self.explain(X)[0]

    def explain(self, X: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Contributions (rows, columns) and the base (rows,) that they add up from: ``moves``."""
        import pandas as pd

        moves, base = self.moves(self._matrix(X))
        return pd.DataFrame(moves, index=X.index, columns=list(self.encoder_.columns)), base

    @abstractmethod
    def moves(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Contributions (rows, columns) of an encoded matrix, and the base (rows,)."""

    def _matrix(self, X: pd.DataFrame) -> np.ndarray:
        self._require_fitted()
        return self.encoder_.transform(X)

    def _require_fitted(self) -> None:
        if not hasattr(self, "encoder_"):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted; call fit(X, y) or load(folder) first"
            )

    def _importance(self, matrix: np.ndarray, seed: int) -> dict[str, float]:
        rows = np.random.default_rng(seed).permutation(len(matrix))[:_SAMPLE]
        size = np.abs(self.moves(matrix[np.sort(rows)])[0]).mean(axis=0)
        order = np.argsort(-size, kind="stable")
        return {self.encoder_.columns[at]: float(size[at]) for at in order}

    def _save(self, folder: Path, state: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "params": self.get_params(),
            "encoder": self.encoder_.to_dict(),
            "importance": self.importance_,
            **state,
        }
        (folder / "model.json").write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def _load(cls, folder: Path) -> tuple[Self, dict[str, Any]]:
        path = folder / "model.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is absent: {folder} holds no saved {cls.__name__}")
        state = json.loads(path.read_text(encoding="utf-8"))
        model = cls(**state["params"])
        model.encoder_ = TabularEncoder.from_dict(state["encoder"])
        model.importance_ = state["importance"]
        return model, state


def fit_encoder(X: pd.DataFrame) -> TabularEncoder:
    """An encoder whose column order does not depend on the order given, so neither does the fit."""
    import pandas as pd

    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X must be a pandas DataFrame with named columns, got {type(X)!r}")
    if not X.shape[1]:
        raise ValueError("X has no columns; give at least one feature")
    return TabularEncoder.fit(X[sorted(X.columns, key=str)] if X.columns.is_unique else X)


def check_target(y: object, rows: int, least: int) -> np.ndarray:
    """``y`` as an array of shape (rows,) without missing values, at least ``least`` rows."""
    import pandas as pd

    values = np.asarray(y)
    if values.shape != (rows,):
        raise ValueError(f"y has shape {values.shape}, X has {rows} rows; give one value for each")
    gone = int(pd.isna(values).sum())
    if gone:
        raise ValueError(f"y has {gone} missing of {rows} values; drop rows without an outcome")
    if rows < least:
        raise TooFewRowsError(f"{rows} rows to learn from; at least {least} are needed")
    return values


def check_weight(weight: object, rows: int) -> np.ndarray | None:
    """``weight`` as float64 of shape (rows,), finite, not negative, not all zero; None stays."""
    if weight is None:
        return None
    values = np.asarray(weight, dtype=np.float64)
    if values.shape != (rows,):
        raise ValueError(f"sample_weight has shape {values.shape}, X has {rows} rows")
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ValueError("sample_weight must be finite, not negative, and not all zero")
    return values
