"""What the anomaly method learned: detectors, and how seldom each size of deviation is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.estimators.anomaly import RowDetector, SeriesDetector

if TYPE_CHECKING:
    import pandas as pd

LINE_FEATURES = ["price_own", "quantity_own"]
CLIENT_FEATURES = ["amount_own", "quantities_own"]
FEATURES = {"line": LINE_FEATURES, "client": CLIENT_FEATURES}
LEAST_ROWS = 200
FIT_ROWS = 15_000
SEEN_ROWS = 50_000
"""Rows that tell how seldom each size of deviation and of score is."""
LEAST_SCORE = 0.4
"""Lines and clients under it are no finding. On the sample firm two to three usual rows in a
hundred reach it (.5 is one in a hundred), which leaves about three alerts a day of five."""
SELDOM = 0.01
MOST_A_DAY = 1.0
"""A score of .5 is one usual row in a hundred, and where those are more than one a day, the
oddest of a usual day: in a large firm one row in a hundred is no event."""
DEVIATES = 2.0 / 3.0
"""Sizes (1 is the largest hundredth) from which on the detectors look at a row at all."""
TAIL_ROWS = 10
LEAST_LEVEL = 1.0
"""A largest hundredth below one deviation is a column that hardly ever moved."""


@dataclass(frozen=True)
class Tail:
    """How seldom a deviation is: ``level`` is reached by one row in a hundred, and beyond it the
    share falls with the power ``fall`` of the deviation (Hill's estimate)."""

    level: float
    fall: float

    @classmethod
    def of(cls, deviations: np.ndarray) -> Self:
        """From the deviations of usual rows, either side alike."""
        ordered = np.sort(np.abs(deviations))
        count = min(max(int(SELDOM * len(ordered)), TAIL_ROWS), len(ordered) - 1)
        start = max(float(ordered[-count - 1]), 1e-6)
        beyond = np.log(np.maximum(ordered[-count:], start) / start).mean()
        fall = 1.0 / max(float(beyond), 0.05)
        level = start * (count / len(ordered) / SELDOM) ** (1.0 / fall)
        return cls(max(float(level), LEAST_LEVEL), fall)

    def size(self, deviations: np.ndarray) -> np.ndarray:
        """1 is one row in a hundred, 2 one in ten thousand, 3 one in a million, without end."""
        ratio = np.abs(deviations) / self.level
        beyond = 1.0 + self.fall * np.log(np.maximum(ratio, 1.0)) / -np.log(SELDOM)
        return np.asarray(np.where(ratio > 1.0, beyond, ratio))


@dataclass(frozen=True)
class Usual:
    """What usual rows of one kind reach: ``median`` and ``high`` (99 %) of the detector's
    decisions, ``tails`` by feature, and the ``unit`` of strength that is a score of .5."""

    median: float
    high: float
    tails: dict[str, Tail]
    unit: float = 1.0


class FittedAnomaly:
    """A series detector, and a row detector with its usual scores for each kind of row."""

    def __init__(self, series: Any, rows: Mapping[str, Any], usual: Mapping[str, Usual]) -> None:
        self.series = series
        self.rows = dict(rows)
        self.usual = dict(usual)

    @classmethod
    def learn(cls, series: Any, frames: Mapping[str, pd.DataFrame]) -> Self:
        """From rows by kind, in order of time; the earlier half, with little past, is left out.

        A kind with fewer than ``LEAST_ROWS`` rows gets no detector.
        """
        fitted = cls(series, {}, {})
        for kind, rows in frames.items():
            if len(rows) < LEAST_ROWS:
                continue
            late = rows.iloc[len(rows) // 2 :]
            chosen = late.sample(min(len(late), SEEN_ROWS), random_state=0)[FEATURES[kind]]
            detector = RowDetector(fit_rows=FIT_ROWS).fit(chosen)
            seen = chosen.to_numpy(dtype=np.float64)
            decided = detector.decide(seen[:FIT_ROWS])
            median, high = float(np.median(decided)), float(np.quantile(decided, 1.0 - SELDOM))
            tails = {name: Tail.of(seen[:, at]) for at, name in enumerate(FEATURES[kind])}
            usual = Usual(median, max(high, median + 1e-9), tails)
            fitted.rows[kind], fitted.usual[kind] = detector, usual
            share = min(SELDOM, MOST_A_DAY * late["observed_at"].nunique() / len(late))
            unit = float(np.quantile(fitted._strength(kind, seen), 1.0 - share))
            fitted.usual[kind] = Usual(median, usual.high, tails, max(unit, 1e-9))
        return fitted

    def row_scores(self, kind: str, features: np.ndarray) -> np.ndarray:
        """Scores in [0, 1] on the series detector's scale, shape (rows,), of ``FEATURES[kind]``.

        The strength behind a score is the detector's, which sees how rows lie together but knows
        no difference between far and further, times the size of the largest deviation, which
        does. A row whose deviations are all small is not shown to the detector: it costs nothing
        and its score is low.
        """
        strength = self._strength(kind, features) / self.usual[kind].unit
        scores: np.ndarray = strength / (1.0 + strength)
        return scores

    def _strength(self, kind: str, features: np.ndarray) -> np.ndarray:
        usual = self.usual[kind]
        columns = zip(usual.tails.values(), features.T, strict=True)
        sizes = [tail.size(values) for tail, values in columns]
        size: np.ndarray = np.max(sizes, axis=0)
        odd = np.flatnonzero(size >= DEVIATES)
        strength = size**2
        if len(odd):
            decided = self.rows[kind].decide(features[odd])
            together = np.maximum((decided - usual.median) / (usual.high - usual.median), 0.0)
            strength[odd] = size[odd] * together
        return strength

    def save(self, folder: Path) -> None:
        """One folder a detector, and ``usual.json``: what usual rows reach."""
        self.series.save(folder / "series")
        for kind, detector in self.rows.items():
            (folder / kind).mkdir()
            detector.save(folder / kind)
        usual = {kind: asdict(found) for kind, found in self.usual.items()}
        (folder / "usual.json").write_text(json.dumps(usual))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What ``save`` wrote; scores are the same bit for bit."""
        stored = json.loads((folder / "usual.json").read_text())
        usual = {
            kind: Usual(**{**found, "tails": {k: Tail(**t) for k, t in found["tails"].items()}})
            for kind, found in stored.items()
        }
        rows = {kind: RowDetector.load(folder / kind) for kind in usual}
        return cls(SeriesDetector.load(folder / "series"), rows, usual)
