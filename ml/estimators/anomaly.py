"""Which rows do not look like the others (RowDetector), and which moments of a series do not look
like its past (SeriesDetector)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.estimators.reasons import Cells, top_reasons
from ml.estimators.row_detectors import (
    Detector,
    IsolationTrees,
    LocalOutlierFactor,
    Mahalanobis,
    NearestInSamples,
)
from ml.estimators.row_matrix import RowMatrix
from ml.estimators.series_detector import SeriesDetector

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RowDetector", "SeriesDetector"]

#: The detectors and their weights. Isolation trees count twice: they are seldom far off.
_PARTS: dict[str, tuple[Any, float]] = {
    "isolation": (IsolationTrees, 3.0),
    "samples": (NearestInSamples, 1.0),
    "distance": (Mahalanobis, 1.0),
    "local": (LocalOutlierFactor, 1.0),
}


class RowDetector:
    """Unsupervised outlier scores of any mixed DataFrame, the mean of four kinds of detector.

    Each detector's logarithm is brought to mean 0 and deviation 1 over the fitted rows, so the
    score of a usual row is about 0. ``reference`` bounds the rows kept for the local detector;
    ``fit_rows`` bounds the rows that the rest is fitted on, drawn at random from more.
    """

    def __init__(
        self,
        trees: int = 200,
        samples: int = 200,
        reference: int = 2048,
        fit_rows: int = 50_000,
        seed: int = 0,
    ) -> None:
        self.trees = trees
        self.samples = samples
        self.reference = reference
        self.fit_rows = fit_rows
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Learn what rows usually look like from X of shape (rows, columns), at least 8 rows.

        ``y`` is ignored: scikit-learn's convention. Raises ValueError on too few rows.
        """
        import pandas as pd

        if isinstance(X, pd.DataFrame) and len(X) < 8:
            raise ValueError(f"X has {len(X)} rows; at least 8 are needed to say what is usual")
        rng = np.random.default_rng(self.seed)
        if len(X) > self.fit_rows:
            X = X.iloc[np.sort(rng.choice(len(X), self.fit_rows, replace=False))]
        self.matrix_ = RowMatrix.fit(X)
        Z = self.matrix_.scaled(self.matrix_.filled(self.matrix_.encoder.transform(X)))
        self.parts_: dict[str, Detector] = {
            "isolation": IsolationTrees.fit(Z, self.trees, 256, rng),
            "samples": NearestInSamples.fit(Z, self.samples, 8, rng),
            "distance": Mahalanobis.fit(Z),
            "local": LocalOutlierFactor.fit(Z, self.reference, 10, rng),
        }
        raw = self._logs(Z)
        deviation = raw.std(axis=0)
        self.centre_ = raw.mean(axis=0)
        self.deviation_ = np.where(deviation > 1e-9, deviation, 1.0)
        return self

    def decision_function(self, X: pd.DataFrame) -> np.ndarray:
        """Scores of shape (rows,), higher is more anomalous (the PyOD convention)."""
        self._require_fitted()
        return self.decide(self.matrix_.encoder.transform(X))

    def decide(self, codes: np.ndarray) -> np.ndarray:
        """:meth:`decision_function` of an encoded matrix."""
        filled = self.matrix_.filled(codes)
        if not len(filled):
            return np.zeros(0)
        standard = (self._logs(self.matrix_.scaled(filled)) - self.centre_) / self.deviation_
        weights = np.array([weight for _, weight in _PARTS.values()])
        return np.asarray(standard @ weights / weights.sum())

    def reasons(self, X: pd.DataFrame, top: int = 3) -> list[list[dict[str, Any]]]:
        """For each row its ``top`` most unusual columns, most unusual first.

        Each is a dict: ``feature``, ``value`` (None where missing) and ``contribution``: minus the
        log of the share of fitted rows at least as extreme, negative where the value is low.
        """
        self._require_fitted()
        codes = self.matrix_.encoder.transform(X)
        return self.reasons_of(codes, lambda name, rows: X[name].iloc[rows].tolist(), top)

    def reasons_of(
        self, codes: np.ndarray, cells: Cells, top: int = 3
    ) -> list[list[dict[str, Any]]]:
        """The same of an encoded matrix; ``cells`` gives the values before they were encoded."""
        matrix = self.matrix_
        filled = matrix.filled(codes)
        tails, upper = matrix.tails(filled)
        names = matrix.encoder.columns
        signed = np.where(upper, tails, -tails)[:, : len(names)]
        for at, name in enumerate(names):
            if name in matrix.encoder.categories:  # rare is rare, neither high nor low
                signed[:, at] = matrix.category_tail(name, filled[:, at])
        return top_reasons(names, signed, cells, top)

    def save(self, folder: Path) -> None:
        """Write JSON and npz files into ``folder``."""
        self._require_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "options": {
                "trees": self.trees, "samples": self.samples, "reference": self.reference,
                "fit_rows": self.fit_rows, "seed": self.seed,
            },
            "matrix": self.matrix_.to_dict(),
        }  # fmt: skip
        (folder / "rows.json").write_text(json.dumps(state, indent=1, sort_keys=True))
        np.savez_compressed(
            folder / "matrix.npz",
            allow_pickle=False,
            centre=self.centre_,
            deviation=self.deviation_,
            **{f"matrix:{name}": value for name, value in self.matrix_.arrays().items()},
        )
        for name, part in self.parts_.items():
            np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **part.arrays())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The detector that ``save`` wrote; scores are the same bit for bit."""
        state = json.loads((folder / "rows.json").read_text())
        detector = cls(**state["options"])
        with np.load(folder / "matrix.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        detector.centre_, detector.deviation_ = arrays["centre"], arrays["deviation"]
        detector.matrix_ = RowMatrix.restore(
            state["matrix"],
            {name.removeprefix("matrix:"): value for name, value in arrays.items()},
        )
        detector.parts_ = {}
        for name, (kind, _) in _PARTS.items():
            with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
                detector.parts_[name] = kind.restore({key: stored[key] for key in stored.files})
        return detector

    def _logs(self, Z: np.ndarray) -> np.ndarray:
        return np.log(np.column_stack([self.parts_[name].score(Z) for name in _PARTS]) + 1e-9)

    def _require_fitted(self) -> None:
        if not hasattr(self, "matrix_"):
            raise ValueError("RowDetector is not fitted: call fit(X) first")
