"""Anomaly: days of series, clients' purchases and lines that do not look like their own past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.methods.anomaly_data import (
    JUDGED_DAYS,
    DayFrames,
    anomaly_frames,
    judged_since,
    line_rows_of,
    past_only,
    rolling_gaussian,
)
from ml.methods.anomaly_fitted import (
    FEATURES,
    LEAST_ROWS,
    LEAST_SCORE,
    LINE_FEATURES,
    FittedAnomaly,
)
from ml.methods.anomaly_injection import corrected_lines, with_injected_anomalies
from ml.methods.anomaly_rows import largest_deviations, row_frames
from ml.methods.method import Comparison, Frames, Judged, Method, Value
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

LEAST_SERIES = 60
SUBJECT = ["subject_kind", "subject_id", "observed_at"]


class AnomalyMethod(Method):
    """Scores by each subject's own past; the day's highest within the budget are alerts."""

    def learn(self, data: Snapshot, as_of: date) -> FittedAnomaly:
        from ml.estimators.anomaly import SeriesDetector

        frames = anomaly_frames(data, as_of)
        rows = row_frames(frames["lines"]) if len(frames["lines"]) else {}
        fitted = FittedAnomaly.learn(SeriesDetector(), rows)
        longest = frames["series"].groupby("series_id").size().max() if len(frames["series"]) else 0
        if not fitted.rows and longest < LEAST_SERIES:
            raise NotEnoughDataError(
                f"{self.spec.title} needs {LEAST_ROWS} purchases or a series of {LEAST_SERIES}"
                f" values up to {as_of}"
            )
        return fitted

    def load(self, folder: Path) -> FittedAnomaly:
        return FittedAnomaly.load(folder)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> Mapping[date, Frames]:
        return DayFrames(data, days)

    def decide(
        self, fitted: FittedAnomaly, inputs: Frames, day: date, reasons: str
    ) -> pd.DataFrame:
        since = pd.Timestamp(day - timedelta(days=self.spec.horizon_days - 1))
        scored = self._scored(fitted, inputs, since)
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
        not_before = None if after is None else after + timedelta(days=1)
        judged = self._judged(model, data, since, as_of, not_before)
        if judged is None and after is None:
            raise NotEnoughDataError(
                f"{self.spec.title} needs {LEAST_ROWS} purchases up to {since} and some of the"
                f" {JUDGED_DAYS} days up to {as_of}, or a series in the source of {LEAST_SERIES}"
                " values, to be judged on"
            )
        return judged

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        since = decisions["as_of"].min()
        if (through - since).days < self.spec.horizon_days:
            return None
        return self._judged(fitted, data, since, through, not_before=since)

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        planted = frame["outcome"] > 0
        return Comparison(
            ours={"recall_at_budget": float(frame.loc[planted, "is_alert"].mean())},
            baseline={"recall_at_budget": float(frame.loc[planted, "baseline_alert"].mean())},
            rows=len(frame),
            basis=judged.basis,
        )

    def dates(self, judged: Judged) -> pd.Series:
        """Those of lines where there are any: only they are worth money, and a monthly series
        beside them is judged on years."""
        lines = judged.frame["subject_kind"] == "line"
        dates: pd.Series = judged.frame.loc[lines | (not lines.any()), "observed_at"]
        return dates

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
                "days": int(self.dates(judged).dt.normalize().nunique()),
                "counted": "amount of alerted lines that a later line corrects",
            },
        )

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        """All values that the decisions read, so that an answer is the decision's, bit for bit."""
        groups = list(inputs["series"].groupby("series_id", sort=True))
        return pd.DataFrame(
            {
                "entity": [name for name, _ in groups],
                "features": [
                    {
                        "observed_at": np.datetime_as_string(
                            rows["observed_at"].to_numpy(dtype="datetime64[s]")
                        ).tolist(),
                        "value": rows["value"].tolist(),
                    }
                    for _, rows in groups
                ],
            }
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        """Deviations of the newest lines; where there are none, of each series from its mean."""
        if len(inputs["lines"]) or not len(inputs["series"]):
            return line_rows_of(inputs).tail(5000)[LINE_FEATURES].reset_index(drop=True)
        latest = inputs["series"].groupby("series_id").tail(90)
        level = latest.groupby("series_id")["value"].transform("mean")
        return pd.DataFrame({"relative_value": latest["value"] / level.where(level != 0)})

    def _scored(
        self,
        fitted: FittedAnomaly,
        inputs: Frames,
        since: pd.Timestamp,
        series_since: Mapping[str, pd.Timestamp] | None = None,
        naive: bool = False,
    ) -> pd.DataFrame:
        """Every observation since then with score, expectation and alert.

        With ``series_since`` each series has its own start, and those without one are left out;
        ``naive`` adds the baseline's score and its alerts, as many as ours.
        """
        from ml.estimators.alerts import alerts

        parts = []
        for name, rows in inputs["series"].groupby("series_id"):
            begin = since if series_since is None else series_since.get(str(name))
            if begin is None:
                continue
            rows = rows.reset_index(drop=True)
            part = rows.assign(
                subject_kind="series", subject_id=str(name), **fitted.series.judged(rows)
            )
            if naive:
                part["baseline"] = rolling_gaussian(rows["value"])
            part = part.iloc[past_only(rows["observed_at"]) :]
            parts.append(part[part["observed_at"] >= begin])
        lines = inputs["lines"]
        built = row_frames(lines, line_rows_of(inputs)) if fitted.rows and len(lines) else {}
        largest = largest_deviations(lines, built) if naive and built else {}
        for kind, rows in built.items():
            if kind in fitted.rows:
                part = rows[rows["observed_at"] >= since].copy()
                features = part[FEATURES[kind]].to_numpy(dtype=np.float64)
                part["score"] = fitted.row_scores(kind, features)
                if naive:
                    part["baseline"] = largest[kind].loc[part.index]
                parts.append(part)
        scored = pd.concat(parts, ignore_index=True) if parts else _no_rows()
        budget = self.settings.alert_budget
        scored["is_alert"] = alerts(scored, budget, LEAST_SCORE)
        if naive:
            # As many alerts as ours: where few things happen, a budget lets everything through.
            within = scored["baseline"].where(alerts(scored, budget, score="baseline"), -np.inf)
            order = np.argsort(-within.to_numpy(), kind="stable")
            scored["baseline_alert"] = False
            scored.loc[order[: int(scored["is_alert"].sum())], "baseline_alert"] = True
        return scored

    def _judged(
        self,
        model: FittedAnomaly,
        data: Snapshot,
        since: date,
        as_of: date,
        not_before: date | None = None,
    ) -> Judged | None:
        """What is found of what was injected after ``since``; None where nothing could be.

        A series of which little came since then is judged on its own last values, as far as they
        are not from before ``not_before``.
        """
        frames = anomaly_frames(data, as_of)
        start = pd.Timestamp(since) + pd.Timedelta(days=1)
        bound = None if not_before is None else pd.Timestamp(not_before)
        series_since = judged_since(frames["series"], model.series, start, bound)
        copy, planted = with_injected_anomalies(frames, start, series_since)
        scored = self._scored(model, copy, start, series_since, naive=True)
        scored = scored.merge(planted, on=SUBJECT, how="left")
        scored["outcome"] = scored["outcome"].fillna(0.0)
        if not (scored["outcome"] > 0).any():  # lines, say, too few to learn from, are not scored
            return None
        corrected = corrected_lines(data, as_of)
        amount = scored["subject_id"].map(corrected).where(scored["subject_kind"] == "line")
        scored["corrected_amount"] = amount.fillna(0.0)
        scored["as_of"] = as_of
        columns = [*SUBJECT, "as_of", "value", "score", "baseline", "is_alert", "baseline_alert"]
        return Judged(
            scored[[*columns, "outcome", "corrected_amount"]], "anomalies injected into a copy"
        )

    def _explain(self, fitted: FittedAnomaly, kept: pd.DataFrame, found: list[Any]) -> None:
        for kind, features in FEATURES.items():
            places = np.flatnonzero((kept["subject_kind"] == kind).to_numpy())
            if len(places):
                told = fitted.rows[kind].reasons(kept.iloc[places][features])
                for place, reasons in zip(places, told, strict=True):
                    found[place] = reasons


def _no_rows() -> pd.DataFrame:
    """Scored observations where there are none: a day before the first data."""
    kinds: dict[str, Any] = {
        **dict.fromkeys(["subject_kind", "subject_id"], "str"),
        "observed_at": "datetime64[us]",
        **dict.fromkeys(["value", "score", "expected_low", "expected_high"], float),
    }
    return pd.DataFrame(columns=list(kinds)).astype(kinds)
