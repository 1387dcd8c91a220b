"""Churn: no purchase in the horizon, or the firm's own outcome ``churned``."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.methods.client_data import RECENCY, outcome_after, silent_after
from ml.methods.client_rules import churn_columns
from ml.methods.clients import ClientMethod, FittedClients
from ml.methods.method import Comparison, Judged, Value
from ml.metrics import auc, brier, expected_calibration_error

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

OUTCOME = "churned"


class ChurnMethod(ClientMethod):
    """Calibrated probabilities of leaving, banded, with the margin at risk."""

    def label(self, data: Snapshot, frame: pd.DataFrame, known: date) -> pd.Series:
        own = outcome_after(data, frame, OUTCOME, self.spec.horizon_days, known)
        if own is not None:
            return own
        return silent_after(data, frame, self.spec.horizon_days, known)

    def facts(self, frame: pd.DataFrame, label: pd.Series) -> dict[str, Any]:
        return {"base_rate": float(label.mean()), "rows": len(frame)}

    def predict(self, fitted: FittedClients, features: pd.DataFrame) -> pd.DataFrame:
        matrix = fitted.estimator.encoder_.transform(features)
        return pd.DataFrame(churn_columns(fitted.estimator, fitted.facts, matrix))

    def stake(self, decisions: pd.DataFrame) -> pd.Series:
        return decisions["margin_at_risk"]

    def baseline(self, frame: pd.DataFrame) -> pd.Series:
        if RECENCY in frame:
            return frame[RECENCY]
        return pd.Series(0.0, index=frame.index)

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        y = frame["outcome"].to_numpy(dtype=float)
        p = frame["churn_probability"].to_numpy(dtype=float)
        recency = recency_probability(frame["baseline"].to_numpy(dtype=float), y)
        return Comparison(
            ours={"auc": auc(y, p), "brier": brier(y, p), "ece": expected_calibration_error(y, p)},
            baseline={
                "auc": auc(y, frame["baseline"].to_numpy(dtype=float)),
                "brier": brier(y, recency),
                "ece": expected_calibration_error(y, recency),
            },
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Margin really lost among the K called, saved at the save rate, less the calls' cost.

        K clients are called on each judged day, by margin at risk; the baseline calls those who
        have been silent longest, weighted by the same usual margin.
        """
        settings = self.settings
        called = {"ours": 0.0, "baseline": 0.0}
        days = 0
        for _, day in judged.frame.groupby("as_of"):
            usual = day["margin_at_risk"] / day["churn_probability"].clip(lower=1e-9)
            lost = day["outcome"] * usual
            rankings = {"ours": day["margin_at_risk"], "baseline": day["baseline"]}
            for name, ranking in rankings.items():
                top = ranking.sort_values(ascending=False, kind="stable")
                chosen = top.index[: settings.calls_per_month]
                called[name] += settings.save_rate * float(lost[chosen].sum())
                called[name] -= settings.call_cost * len(chosen)
            days += 1
        return Value(
            amount=called["ours"],
            baseline_amount=called["baseline"],
            assumptions={
                "calls_per_month": settings.calls_per_month,
                "save_rate": settings.save_rate,
                "call_cost": settings.call_cost,
                "judged_days": days,
            },
        )


def recency_probability(recency: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Recency turned into a probability by isotonic fit on the judged rows themselves.

    That favours the baseline: it is calibrated on the very outcomes it is compared on.
    """
    from sklearn.isotonic import IsotonicRegression

    filled = np.where(np.isnan(recency), np.nanmax(recency) + 1, recency)
    fitted: np.ndarray = IsotonicRegression(y_min=0, y_max=1).fit(filled, outcome).predict(filled)
    return fitted
