"""Revenue leaks: findings among the lines and work of the last 90 days that are still open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml.methods.leak_data import injected_copies, known_ids, leak_frames
from ml.methods.leak_review import (
    EXPECTED,
    found_wherever_one_stops,
    reviewed,
    top_of_each_list,
    with_expected,
)
from ml.methods.method import (
    Comparison,
    Frames,
    Judged,
    Method,
    Value,
)
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

LEAST_LINES = 500
CORRECTIONS = "later corrections"
ITEM = ["item_kind", "item_id"]


class RevenueLeakMethod(Method):
    """Rules give amount and evidence, a learned ranking gives the order; no labels."""

    def learn(self, data: Snapshot, as_of: date) -> Any:
        frames = leak_frames(data, as_of)
        if len(frames["lines"]) < LEAST_LINES:
            raise NotEnoughDataError(
                f"{self.spec.title} learns usual prices from at least {LEAST_LINES} lines, there"
                f" are {len(frames['lines'])} up to {as_of}"
            )
        return self.spec.estimator_class()().fit(**_estimator_arguments(frames))

    def load(self, folder: Path) -> Any:
        return self.spec.estimator_class().load(folder)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        window = 2 * self.spec.horizon_days
        return {day: leak_frames(data, day, since=day - timedelta(days=window)) for day in days}

    def decide(self, fitted: Any, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        scored = self._scored(fitted, inputs, day, evidence=reasons != "none")
        return decisions(scored[(scored["amount"] > 0) & scored["corrected_by"].isna()])

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        cut = as_of - timedelta(days=self.spec.horizon_days)
        if after is not None and after > cut:
            return None
        model = fitted or self.learn(data, cut)
        decided = self.decide(model, self.inputs(data, [cut])[cut], cut, "none")
        confirmed = self.judge(model, data, decided.assign(as_of=cut), as_of)
        return confirmed or self._on_injected(model, data, as_of)

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        """Against corrections that came later; None where the source records none.

        A leak counts on the days on which it was in the books and not yet put right.
        """
        days = sorted(day for day in set(decisions["as_of"]) if day < through)
        if not days:
            return None
        horizon = timedelta(days=self.spec.horizon_days)
        later = leak_frames(data, through, since=days[0] - 2 * horizon)
        found = self._scored(fitted, later, days[0], False)
        # an honest credit names a line too, which was never short of money
        found = found[found["corrected_by"].notna() & (found["amount"] > 0)]
        judged = []
        for day in days:
            lines, items = known_ids(data, day, since=day - horizon)
            at_hand = _among(found["item_id"], items)
            fresh = found[at_hand & ~_among(found["corrected_by"], lines)]
            if not fresh.empty:
                today = decisions[decisions["as_of"] == day]
                judged.append(self._with_outcome(today, fresh, day))
        if not judged:
            return None
        return Judged(pd.concat(judged, ignore_index=True), CORRECTIONS)

    def compare(self, judged: Judged) -> Comparison:
        frame = with_expected(judged.frame)
        return Comparison(
            ours=_found(frame, EXPECTED, judged.basis),
            baseline=_found(frame, "baseline", judged.basis),
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """What reviewers recover of what they get to, less what their time costs."""
        if judged.basis != CORRECTIONS:
            return Value(None, reason="the source records no corrections that would confirm a leak")
        settings = self.settings
        frame, worth, looked_at = with_expected(judged.frame), {}, {}
        for ranking in (EXPECTED, "baseline"):
            chosen = reviewed(
                frame,
                ranking,
                a_month=settings.leak_reviews,
                least=settings.review_cost / max(settings.recovery_rate, 1e-9),
                last_days=self.spec.horizon_days,
            )
            recovered = settings.recovery_rate * float(chosen["outcome"].sum())
            worth[ranking] = recovered - settings.review_cost * len(chosen)
            looked_at[ranking] = len(chosen)
        return Value(
            amount=worth[EXPECTED],
            baseline_amount=worth["baseline"],
            assumptions={
                "leak_reviews": f"{settings.leak_reviews} a month; as long as a finding's expected"
                f" recovery is above the cost of its review: {looked_at[EXPECTED]} in our order,"
                f" {looked_at['baseline']} by amount alone",
                "recovery_rate": settings.recovery_rate,
                "review_cost": settings.review_cost,
                "confirmed_by": "a later correction in the books",
            },
        )

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        """On-demand checks bring their own line; nothing is kept for them."""
        return pd.DataFrame({"entity": [], "features": []})

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        lines = inputs["lines"]
        return lines[["quantity", "unit_price", "service_id"]].reset_index(drop=True)

    def _scored(self, fitted: Any, frames: Frames, day: date, evidence: bool) -> pd.DataFrame:
        since = day - timedelta(days=self.spec.horizon_days)
        found: pd.DataFrame = fitted.score(
            **_estimator_arguments(frames), evidence=evidence, since=since
        )
        return found

    def _with_outcome(
        self, decisions: pd.DataFrame, corrected: pd.DataFrame, day: date
    ) -> pd.DataFrame:
        amounts = corrected.set_index("item_id")["amount"]
        frame = decisions.drop(columns=["evidence"]).assign(as_of=day)
        frame["outcome"] = frame["item_id"].map(amounts).fillna(0.0)
        frame["baseline"] = frame["leak_amount"]
        missed = corrected[~corrected["item_id"].isin(frame["item_id"])]
        unseen = pd.DataFrame(
            {
                "item_kind": missed["item_kind"],
                "item_id": missed["item_id"].astype(str),
                "score": 0.0,
                "leak_amount": 0.0,
                "outcome": missed["amount"],
                "baseline": 0.0,
                "as_of": day,
            }
        )
        return pd.concat([frame, unseen], ignore_index=True)

    def _on_injected(self, model: Any, data: Snapshot, as_of: date) -> Judged:
        """Known errors planted into copies of the last 90 days: is their value found?"""
        since = as_of - timedelta(days=self.spec.horizon_days)
        frames = leak_frames(data, as_of, since=since - timedelta(days=self.spec.horizon_days))
        parts = []
        for copy, (lines, planted) in enumerate(injected_copies(frames["lines"], since)):
            scored = self._scored(model, {**frames, "lines": lines}, as_of, False)
            amounts = planted.set_index("item_id")["amount"]
            parts.append(
                scored[ITEM].assign(
                    score=scored["score"],
                    leak_amount=scored["amount"],
                    baseline=scored["amount"],
                    outcome=scored["item_id"].map(amounts).fillna(0.0),
                    as_of=as_of,
                    copy=copy,
                )
            )
        return Judged(pd.concat(parts, ignore_index=True), "errors injected into a copy")


def decisions(scored: pd.DataFrame) -> pd.DataFrame:
    """The ``Decision`` columns of scored items."""
    found = pd.DataFrame(
        {
            "item_kind": scored["item_kind"],
            "item_id": scored["item_id"].astype(str),
            "client_id": scored["client_id"].astype(str),
            "score": scored["score"].clip(0.0, 1.0),
            "leak_amount": scored["amount"],
            "leak_kind": scored["reason"],
            "evidence": scored["evidence"],
        }
    )
    return with_expected(found).reset_index(drop=True)


def _found(frame: pd.DataFrame, ranking: str, basis: str) -> dict[str, float]:
    chosen = top_of_each_list(frame, ranking)
    total = float(frame["outcome"].sum())
    value = found_wherever_one_stops(frame, ranking, basis != CORRECTIONS)
    return {
        "leaked_value_found": value / total if total else 0.0,
        "precision_at_k": float((chosen["outcome"] > 0).mean()) if len(chosen) else 0.0,
    }


def _among(few: pd.Series, many: pd.Series) -> pd.Series:
    return few.isin(many[many.isin(few.tolist())].tolist())


def _estimator_arguments(frames: Frames) -> dict[str, pd.DataFrame | None]:
    return {name: frames.get(name) for name in ("lines", "rates", "work")}
