"""Anomaly: days of series, clients' purchases and lines that do not look like their own past."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.methods.anomaly_data import (
    CLIENT_FEATURES,
    LINE_FEATURES,
    anomaly_frames,
    client_rows,
    line_rows,
    rolling_gaussian,
)
from ml.methods.anomaly_injection import corrected_lines, with_injected_anomalies
from ml.methods.frames import records
from ml.methods.method import (
    Answer,
    Comparison,
    Frames,
    Judged,
    Method,
    QueryError,
    Value,
)
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

KINDS = {"line": (line_rows, LINE_FEATURES), "client": (client_rows, CLIENT_FEATURES)}
LEAST_ROWS = 200
FIT_ROWS = 15_000
LEAST_SERIES = 60
JUDGED_DAYS = 90
LEAST_SCORE = 0.45
"""A little below what one usual row in a hundred reaches; lines and clients under it are no
finding. At .5 the sample firm raised 1.5 alerts a day where five may be looked at."""
STORED_HISTORY = 400
SUBJECT = ["subject_kind", "subject_id", "observed_at"]


class FittedAnomaly:
    """A series detector, and a row detector with its usual scores for each kind of row."""

    def __init__(
        self, series: Any, rows: Mapping[str, Any], usual: Mapping[str, Sequence[float]]
    ) -> None:
        self.series = series
        self.rows = dict(rows)
        self.usual = {kind: list(levels) for kind, levels in usual.items()}

    def save(self, folder: Path) -> None:
        """One folder a detector, and ``usual.json``: median and 99 % of usual scores."""
        self.series.save(folder / "series")
        for kind, detector in self.rows.items():
            (folder / kind).mkdir()
            detector.save(folder / kind)
        (folder / "usual.json").write_text(json.dumps(self.usual))

    def row_scores(self, kind: str, features: pd.DataFrame) -> np.ndarray:
        """Scores in [0, 1] on the series detector's scale: .5 is one usual row in a hundred."""
        median, high = self.usual[kind]
        strength = (self.rows[kind].decision_function(features) - median) / (high - median)
        strength = np.maximum(strength, 0.0) ** 2
        scores: np.ndarray = strength / (1.0 + strength)
        return scores


class AnomalyMethod(Method):
    """Scores by each subject's own past; the day's highest within the budget are alerts."""

    def learn(self, data: Snapshot, as_of: date) -> FittedAnomaly:
        from ml.estimators.anomaly import RowDetector, SeriesDetector

        frames = anomaly_frames(data, as_of)
        rows, usual = {}, {}
        for kind, (build, features) in KINDS.items():
            built = build(frames["lines"]) if len(frames["lines"]) else pd.DataFrame()
            if len(built) < LEAST_ROWS:
                continue
            detector = RowDetector(fit_rows=FIT_ROWS).fit(built[features])
            sample = built[features].sample(min(len(built), 20_000), random_state=0)
            decided = detector.decision_function(sample)
            rows[kind] = detector
            usual[kind] = [float(np.median(decided)), float(np.quantile(decided, 0.99))]
        longest = frames["series"].groupby("series_id").size().max() if len(frames["series"]) else 0
        if not rows and longest < LEAST_SERIES:
            raise NotEnoughDataError(
                f"{self.spec.title} needs {LEAST_ROWS} purchases or a series of {LEAST_SERIES}"
                f" values up to {as_of}"
            )
        return FittedAnomaly(SeriesDetector(), rows, usual)

    def load(self, folder: Path) -> FittedAnomaly:
        from ml.estimators.anomaly import RowDetector, SeriesDetector

        usual = json.loads((folder / "usual.json").read_text())
        rows = {kind: RowDetector.load(folder / kind) for kind in usual}
        return FittedAnomaly(SeriesDetector.load(folder / "series"), rows, usual)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        return {day: anomaly_frames(data, day) for day in days}

    def decide(
        self, fitted: FittedAnomaly, inputs: Frames, day: date, reasons: str
    ) -> pd.DataFrame:
        since = pd.Timestamp(day - timedelta(days=self.spec.horizon_days - 1))
        scored = self._scored(fitted, inputs, since, self.settings.alert_budget)
        kept = scored[(scored["subject_kind"] == "series") | (scored["score"] >= LEAST_SCORE)]
        found: list[Any] = [None] * len(kept)
        if reasons != "none":
            self._explain(fitted, kept, found)
        kept = kept.assign(reasons=pd.Series(found, index=kept.index, dtype=object))
        return kept[list(self.spec.Decision.model_fields)].reset_index(drop=True)

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        since = as_of - timedelta(days=JUDGED_DAYS)
        if after is not None and after > since:
            since = after
            if (as_of - since).days < self.spec.horizon_days:
                return None
        model = fitted or self.learn(data, since)
        return self._judged(model, data, since, as_of)

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        since = decisions["as_of"].min()
        if (through - since).days < self.spec.horizon_days:
            return None
        return self._judged(fitted, data, since, through)

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        planted = frame["outcome"] > 0
        return Comparison(
            ours={"recall_at_budget": float(frame.loc[planted, "is_alert"].mean())},
            baseline={"recall_at_budget": float(frame.loc[planted, "baseline_alert"].mean())},
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Amount short or over in alerted lines that the firm corrected later."""
        frame = judged.frame
        if not (frame["corrected_amount"] > 0).any():
            return Value(None, reason="the source records no later corrections of lines")
        found = {
            name: float(frame.loc[frame[name].astype(bool), "corrected_amount"].sum())
            for name in ("is_alert", "baseline_alert")
        }
        return Value(
            amount=found["is_alert"],
            baseline_amount=found["baseline_alert"],
            assumptions={
                "alert_budget": f"{self.settings.alert_budget} a day",
                "days": int(frame["observed_at"].dt.normalize().nunique()),
                "counted": "amount of alerted lines that a later line corrects",
            },
        )

    def answer(
        self, fitted: FittedAnomaly, query: Any, stored: Sequence[Mapping[str, Any]], as_of: date
    ) -> Answer:
        if query.features is not None:
            return self._answer_features(fitted, query, as_of)
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
            scores = fitted.series.score(series)
            expected = fitted.series.expected(series)
        except ValueError as error:
            raise QueryError(str(error), "/observations") from error
        rows = series.assign(score=scores, **expected).tail(len(given))
        decisions: list[dict[str, Any]] = [
            {
                **row,
                "subject_kind": "series",
                "subject_id": query.series_id or "given",
                "observed_at": row["observed_at"].to_pydatetime(),
                "is_alert": bool(row["score"] >= LEAST_SCORE),
                "reasons": None,
            }
            for row in records(rows)
        ]
        return Answer(decisions, stored=["history"] if stored else [], given=["observations"])

    def entity_of(self, query: Any) -> str | None:
        found: str | None = query.series_id
        return found

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        groups = [
            (name, rows.tail(STORED_HISTORY))
            for name, rows in inputs["series"].groupby("series_id", sort=True)
        ]
        return pd.DataFrame(
            {
                "entity": [name for name, _ in groups],
                "features": [
                    {
                        "observed_at": rows["observed_at"]
                        .dt.strftime("%Y-%m-%dT%H:%M:%S")
                        .tolist(),
                        "value": rows["value"].tolist(),
                    }
                    for _, rows in groups
                ],
            }
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        """Deviations of the newest lines; where there are none, of each series from its mean."""
        if len(inputs["lines"]):
            return line_rows(inputs["lines"]).tail(5000)[LINE_FEATURES].reset_index(drop=True)
        latest = inputs["series"].groupby("series_id").tail(90)
        level = latest.groupby("series_id")["value"].transform("mean")
        return pd.DataFrame({"relative_value": latest["value"] / level.where(level != 0)})

    def _scored(
        self, fitted: FittedAnomaly, inputs: Frames, since: pd.Timestamp, budget: int
    ) -> pd.DataFrame:
        """Every observation since then with score, expectation, baseline and alert."""
        from ml.estimators.alerts import alerts

        parts = []
        for name, rows in inputs["series"].groupby("series_id"):
            rows = rows.reset_index(drop=True)
            expected = fitted.series.expected(rows)
            part = rows.assign(
                subject_kind="series",
                subject_id=str(name),
                score=fitted.series.score(rows),
                baseline=rolling_gaussian(rows["value"]),
                **expected,
            )
            parts.append(part[part["observed_at"] >= since])
        for kind, (build, features) in KINDS.items():
            if kind in fitted.rows and len(inputs["lines"]):
                built = build(inputs["lines"])
                part = built[built["observed_at"] >= since].copy()
                part["score"] = fitted.row_scores(kind, part[features])
                part["baseline"] = part[features].abs().max(axis=1)
                parts.append(part)
        scored = pd.concat(parts, ignore_index=True)
        scored["is_alert"] = alerts(scored, budget, LEAST_SCORE)
        scored["baseline_alert"] = alerts(scored, budget, 0.0, score="baseline")
        return scored

    def _judged(self, model: FittedAnomaly, data: Snapshot, since: date, as_of: date) -> Judged:
        frames = anomaly_frames(data, as_of)
        start = pd.Timestamp(since) + pd.Timedelta(days=1)
        copy, planted = with_injected_anomalies(frames, start)
        scored = self._scored(model, copy, start, self.settings.alert_budget)
        scored = scored.merge(planted, on=SUBJECT, how="left")
        scored["outcome"] = scored["outcome"].fillna(0.0)
        corrected = corrected_lines(data, as_of)
        amount = scored["subject_id"].map(corrected).where(scored["subject_kind"] == "line")
        scored["corrected_amount"] = amount.fillna(0.0)
        scored["as_of"] = as_of
        columns = [*SUBJECT, "as_of", "value", "score", "baseline", "is_alert", "baseline_alert"]
        return Judged(
            scored[[*columns, "outcome", "corrected_amount"]], "anomalies injected into a copy"
        )

    def _explain(self, fitted: FittedAnomaly, kept: pd.DataFrame, found: list[Any]) -> None:
        for kind, (_, features) in KINDS.items():
            places = np.flatnonzero((kept["subject_kind"] == kind).to_numpy())
            if len(places):
                told = fitted.rows[kind].reasons(kept.iloc[places][features])
                for place, reasons in zip(places, told, strict=True):
                    found[place] = reasons

    def _answer_features(self, fitted: FittedAnomaly, query: Any, as_of: date) -> Answer:
        given = dict(query.features)
        kind = next(
            (k for k, (_, names) in KINDS.items() if set(names) == set(given) and k in fitted.rows),
            None,
        )
        if kind is None:
            raise QueryError(
                "features must be exactly those of a line or of a client day: "
                + "; ".join(f"{k}: {names}" for k, (_, names) in KINDS.items()),
                "/features",
            )
        texts = sorted(name for name, value in given.items() if isinstance(value, str | None))
        if texts:
            raise QueryError(f"{texts[0]} must be a number", f"/features/{texts[0]}")
        row = pd.DataFrame([given])[KINDS[kind][1]].astype(float)
        score = float(fitted.row_scores(kind, row)[0])
        decision = {
            "subject_kind": kind,
            "subject_id": "given",
            "observed_at": pd.Timestamp(as_of).to_pydatetime(),
            "value": None,
            "expected_low": None,
            "expected_high": None,
            "score": score,
            "is_alert": score >= LEAST_SCORE,
            "reasons": fitted.rows[kind].reasons(row)[0],
        }
        return Answer([decision], given=sorted(given))
