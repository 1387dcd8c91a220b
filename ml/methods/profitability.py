"""Profitability: the margin of the next 90 days, with an interval that covers as it says."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml.methods.client_data import basis_of, last_period, margin_after
from ml.methods.client_rules import COVERAGE, margin_columns
from ml.methods.clients import ClientMethod, FittedClients
from ml.methods.method import Comparison, Judged, Value
from ml.metrics import mae, spearman

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot


class ProfitabilityMethod(ClientMethod):
    """Margin regression with conformal intervals."""

    def learn(self, data: Snapshot, as_of: date) -> FittedClients:
        fitted = super().learn(data, as_of)
        fitted.facts["basis"] = basis_of(data)
        return fitted

    def label(self, data: Snapshot, frame: pd.DataFrame, known: date) -> pd.Series:
        return margin_after(data, frame, self.spec.horizon_days, known)

    def facts(self, frame: pd.DataFrame, label: pd.Series) -> dict[str, Any]:
        return {"mean_margin": float(label.mean()), "rows": len(frame), "basis": "margin"}

    def predict(self, fitted: FittedClients, features: pd.DataFrame) -> pd.DataFrame:
        matrix = fitted.estimator.encoder_.transform(features)
        return pd.DataFrame(margin_columns(fitted.estimator, fitted.facts, matrix))

    def beside(self, fitted: FittedClients, features: pd.DataFrame) -> pd.DataFrame:
        """The median: what least absolute errors ask for, where margins are as skewed as these."""
        median = fitted.estimator.predict_quantiles(features, (0.5,))[:, 0]
        return pd.DataFrame({"median_margin": median}, index=features.index)

    def stake(self, decisions: pd.DataFrame) -> pd.Series:
        return decisions["expected_margin"]

    def baseline(self, frame: pd.DataFrame) -> pd.Series:
        return last_period(frame)

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        y = frame["outcome"].to_numpy(dtype=float)
        ours = frame["expected_margin"].to_numpy(dtype=float)
        naive = frame["baseline"].to_numpy(dtype=float)
        inside = ((frame["margin_low"] <= y) & (y <= frame["margin_high"])).mean()
        return Comparison(
            ours={
                "spearman": spearman(y, ours),
                "mae": mae(y, frame["median_margin"].to_numpy(dtype=float)),
                # .85 - .8 is more than .05 in binary, and would miss the gate.
                "coverage_error": round(abs(float(inside) - COVERAGE), 9),
            },
            baseline={"spearman": spearman(y, naive), "mae": mae(y, naive)},
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Margin recovered by bringing the lowest-ranked clients to break even, where they accept.

        Only margin that really turned out negative can be recovered; the baseline ranks by the
        last 90 days.
        """
        if (judged.frame["basis"] == "revenue").all():
            return Value(None, reason="the source has no cost, so no margin can be recovered")
        share, acceptance = self.settings.repriced_share, self.settings.reprice_acceptance
        recovered = {"expected_margin": 0.0, "baseline": 0.0}
        for _, day in judged.frame.groupby("as_of"):
            shortfall = (-day["outcome"]).clip(lower=0.0)
            count = max(1, round(share * len(day)))
            for ranking in recovered:
                lowest = day[ranking].sort_values(kind="stable").index[:count]
                recovered[ranking] += acceptance * float(shortfall[lowest].sum())
        return Value(
            amount=recovered["expected_margin"],
            baseline_amount=recovered["baseline"],
            assumptions={
                "repriced_share": share,
                "reprice_acceptance": acceptance,
                "judged_days": int(judged.frame["as_of"].nunique()),
            },
        )
