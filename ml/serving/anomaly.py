"""Anomaly on demand: new observations of a series, or the features of one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.methods.anomaly_fitted import FEATURES, LEAST_SCORE, FittedAnomaly
from ml.serving.base import Answer, Asked, Features, QueryError, Serving
from ml.serving.checks import moment, pointer, require_number
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec


class AnomalyServing(Serving):
    """Each observation beside those before it, the stored past of its series first.

    A series of a value every five minutes takes a fifth of a second.
    """

    instant: ClassVar[bool] = False

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.fitted = FittedAnomaly.load(folder)

    @staticmethod
    def entity_of(query: Any) -> str | None:
        found: str | None = query.series_id
        return found

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        if entity is None or not features or not features["value"]:
            return {"observations": [{"observed_at": "2020-01-01", "value": 0.0}]}
        newest = {"observed_at": features["observed_at"][-1], "value": features["value"][-1]}
        return {"series_id": entity, "observations": [newest]}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        if asked.query.features is not None:
            return self._of_features(asked, reasons)
        return self._of_series(asked)

    def _of_series(self, asked: Asked) -> Answer:
        """Scores from ``LEAST_SCORE`` on are alerts: a day's budget is for the whole firm."""
        query = asked.query
        if query.series_id is not None and asked.stored is None:
            raise QueryError(f"series {query.series_id!r} is not known", "/series_id")
        if not query.observations:
            raise QueryError("give at least one observation", "/observations")
        given = []
        for place, item in enumerate(query.observations):
            given.append(
                moment("observed_at", item.observed_at, "observations", place, "observed_at")
            )
        past = asked.stored or {"observed_at": (), "value": ()}
        times = np.array(past["observed_at"], dtype="datetime64[us]")
        before = times < np.datetime64(min(given), "us")
        series = np.concatenate([times[before], np.array(given, dtype="datetime64[us]")])
        values = np.concatenate(
            [
                np.array(past["value"], dtype=np.float64)[before],
                np.array([item.value for item in query.observations], dtype=np.float64),
            ]
        )
        try:
            view = self.fitted.series.view(series.astype("datetime64[s]"), values)
        except ValueError as error:
            raise QueryError(str(error), "/observations") from error
        count = len(given)
        columns = (view.score, view.low, view.high)
        rows = zip(
            given, query.observations, *(found[-count:].tolist() for found in columns), strict=True
        )
        return Answer(
            [
                {
                    "subject_kind": "series",
                    "subject_id": query.series_id or "given",
                    "observed_at": moment,
                    "value": item.value,
                    "expected_low": _known(low),
                    "expected_high": _known(high),
                    "score": score,
                    "is_alert": score >= LEAST_SCORE,
                    "reasons": None,
                }
                for moment, item, score, low, high in rows
            ],
            stored=() if asked.stored is None else ("history",),
            given=("observations",),
        )

    def _of_features(self, asked: Asked, reasons: bool) -> Answer:
        """One line or client day by its features, dated the day of the question."""
        given: Mapping[str, Any] = asked.query.features
        kind = self._kind(given)
        row: Sequence[float] = [float(given[name]) for name in FEATURES[kind]]
        features = np.array([row])
        score = float(self.fitted.row_scores(kind, features)[0])
        told = None
        if reasons:
            told = self.fitted.rows[kind].reasons_of(features, lambda name, rows: [given[name]])[0]
        decision = {
            "subject_kind": kind,
            "subject_id": "given",
            "observed_at": datetime.combine(asked.as_of, time()),
            "value": None,
            "expected_low": None,
            "expected_high": None,
            "score": score,
            "is_alert": score >= LEAST_SCORE,
            "reasons": told,
        }
        return Answer((decision,), given=tuple(sorted(given)))

    def _kind(self, given: Mapping[str, Any]) -> str:
        """What the features are of; QueryError where of nothing, or where they are no numbers."""
        for kind, names in FEATURES.items():
            if set(names) == set(given) and kind in self.fitted.rows:
                for name, value in given.items():
                    if value is None:
                        raise QueryError(f"{name} must be a number", pointer("features", name))
                    require_number(name, value, "features", name)
                return kind
        raise QueryError(
            "features must be exactly those of a line or of a client day: "
            + "; ".join(f"{kind}: {names}" for kind, names in FEATURES.items()),
            "/features",
        )


def _known(value: float) -> float | None:
    return None if value != value else value
