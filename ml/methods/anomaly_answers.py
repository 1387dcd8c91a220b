"""Answers of the anomaly model on demand: new observations of a series, or features of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from ml.methods.anomaly_fitted import FEATURES, FittedAnomaly
from ml.methods.frames import records
from ml.methods.method import Answer, QueryError


def answer_series(
    fitted: FittedAnomaly, query: Any, stored: Sequence[Mapping[str, Any]], least: float
) -> Answer:
    """Each observation beside those before it, the stored history of its series first.

    Scores from ``least`` on are alerts. Raises QueryError on a series that is not known, or on
    observations that are no series.
    """
    history = stored[0]["features"] if stored else {"observed_at": [], "value": []}
    if query.series_id is not None and not stored:
        raise QueryError(f"series {query.series_id!r} is not known", "/series_id")
    given = pd.DataFrame([item.model_dump() for item in query.observations])
    past = pd.DataFrame(history, columns=["observed_at", "value"])
    try:
        times = pd.to_datetime(given["observed_at"])
    except ValueError as error:
        raise QueryError(f"not a date or local time: {error}", "/observations") from error
    past["observed_at"] = pd.to_datetime(past["observed_at"])
    past = past[past["observed_at"] < times.min()]
    series = pd.concat([past, given.assign(observed_at=times)], ignore_index=True)
    try:
        judged = fitted.series.judged(series)
    except ValueError as error:
        raise QueryError(str(error), "/observations") from error
    rows = series.assign(**judged).tail(len(given))
    decisions: list[dict[str, Any]] = [
        {
            **row,
            "subject_kind": "series",
            "subject_id": query.series_id or "given",
            "observed_at": row["observed_at"].to_pydatetime(),
            "is_alert": bool(row["score"] >= least),
            "reasons": None,
        }
        for row in records(rows)
    ]
    return Answer(decisions, stored=["history"] if stored else [], given=["observations"])


def answer_features(fitted: FittedAnomaly, query: Any, as_of: date, least: float) -> Answer:
    """One line or client day by its features, dated ``as_of``; an alert from ``least`` on.

    Raises QueryError where they are not those of a kind, or are no numbers.
    """
    given = dict(query.features)
    kind = next(
        (k for k, names in FEATURES.items() if set(names) == set(given) and k in fitted.rows),
        None,
    )
    if kind is None:
        raise QueryError(
            "features must be exactly those of a line or of a client day: "
            + "; ".join(f"{k}: {names}" for k, names in FEATURES.items()),
            "/features",
        )
    texts = sorted(name for name, value in given.items() if isinstance(value, str | None))
    if texts:
        raise QueryError(f"{texts[0]} must be a number", f"/features/{texts[0]}")
    row = pd.DataFrame([given])[FEATURES[kind]].astype(float)
    score = float(fitted.row_scores(kind, row)[0])
    decision = {
        "subject_kind": kind,
        "subject_id": "given",
        "observed_at": pd.Timestamp(as_of).to_pydatetime(),
        "value": None,
        "expected_low": None,
        "expected_high": None,
        "score": score,
        "is_alert": score >= least,
        "reasons": fitted.rows[kind].reasons(row)[0],
    }
    return Answer([decision], given=sorted(given))
