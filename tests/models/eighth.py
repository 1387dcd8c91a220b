"""An eighth model in one file: how much will each client buy over the next 30 days?

It exists for the tests alone: small, quick, and with all that a model has, so that whatever the
registry feeds (assets, tables, routes, sensors) can be driven from data to an HTTP answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from ml.methods.calendar import month_ends
from ml.methods.method import Comparison, Frames, Judged, Method, Value
from ml.models import Decision, Gate, ModelSpec, Picture, Query
from ml.refusals import NotEnoughDataError
from ml.serving.base import Answer, Asked, Features, QueryError, Serving
from ml.settings import MlSettings

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

WINDOWS = (30, 90, 365)
COLUMNS = [f"revenue_{days}d" for days in WINDOWS]


class RepeatOrderDecision(Decision):
    """One client's expected purchases."""

    buyer_id: str
    expected_revenue: float = Field(description="Money over the next 30 days.")
    active: bool
    reasons: list[dict[str, Any]] | None = None


class RepeatOrderQuery(Query):
    """A client the firm knows, revenue of the last 30 days, or both."""

    client_id: str | None = None
    revenue_30d: float | None = Field(None, ge=0, le=1e9)


class MonthlyRate:
    """Least squares of the next month on three past rates of spending."""

    def __init__(self, weights: Sequence[float] = ()) -> None:
        self.weights = list(weights)

    def fit(self, X: pd.DataFrame, y: pd.Series) -> MonthlyRate:
        rates = self._rates(X)
        ridge = 1e-3 * np.eye(len(COLUMNS)) * len(X)
        target = rates.T @ y.to_numpy(dtype=float)
        self.weights = np.linalg.solve(rates.T @ rates + ridge, target).tolist()
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        out = np.zeros(len(X))
        # Column by column, so that a row's answer does not depend on its neighbours.
        for column, weight in zip(self._rates(X).T, self.weights, strict=True):
            out = out + column * weight
        return out

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.json").write_text(json.dumps(self.weights))

    @classmethod
    def load(cls, folder: Path) -> MonthlyRate:
        return cls(json.loads((folder / "weights.json").read_text()))

    @staticmethod
    def _rates(X: pd.DataFrame) -> np.ndarray:
        return X[COLUMNS].to_numpy(dtype=float) * (30 / np.array(WINDOWS))


class RepeatOrderMethod(Method):
    """The seven steps, in plain pandas."""

    def __init__(self, spec: ModelSpec, settings: MlSettings) -> None:
        super().__init__(spec, settings)
        self._held: dict[tuple[str, date], pd.DataFrame] = {}
        self._read: dict[str, pd.DataFrame] = {}

    def learn(self, data: Snapshot, as_of: date) -> MonthlyRate:
        days = self._labelled(data, as_of)
        if not days:
            raise NotEnoughDataError(
                f"{self.spec.title} learns from month ends followed by 30 days; there is none"
            )
        frame = self._outcomes(data, days, as_of)
        learned: MonthlyRate = self.spec.estimator_class()().fit(frame, frame["outcome"])
        return learned

    def load(self, folder: Path) -> MonthlyRate:
        return MonthlyRate.load(folder)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        return {day: {"clients": self._features(data, day)} for day in days}

    def decide(self, fitted: MonthlyRate, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        return decisions(fitted, inputs["clients"], reasons != "none")

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        days = self._labelled(data, as_of)
        later = [day for day in days if after is None or day > after][-3:]
        if not later:
            if after is not None:
                return None
            raise NotEnoughDataError(f"{self.spec.title} has no month to be judged on")
        model = fitted or self.learn(data, later[0])
        frame = self._outcomes(data, later, as_of)
        return Judged(frame.assign(expected_revenue=model.predict(frame)), "later months")

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        horizon = timedelta(days=self.spec.horizon_days)
        days = sorted(day for day in set(decisions["as_of"]) if day + horizon <= through)
        if not days:
            return None
        outcomes = self._outcomes(data, days, through)[["client_id", "as_of", "outcome", *COLUMNS]]
        return Judged(
            decisions.merge(
                outcomes.rename(columns={"client_id": "buyer_id"}), on=["buyer_id", "as_of"]
            ),
            "stored decisions",
        )

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        return Comparison(
            ours={"mae": float((frame["expected_revenue"] - frame["outcome"]).abs().mean())},
            baseline={"mae": float((frame["revenue_30d"] - frame["outcome"]).abs().mean())},
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        compared = self.compare(judged)
        return Value(
            amount=compared.rows * (compared.baseline["mae"] - compared.ours["mae"]),
            baseline_amount=0.0,
            assumptions={"cost_of_a_unit_of_error": 1.0},
        )

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        frame = inputs["clients"]
        return pd.DataFrame(
            {"entity": frame["client_id"], "features": frame[COLUMNS].to_dict(orient="records")}
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        return inputs["clients"][COLUMNS]

    def _labelled(self, data: Snapshot, as_of: date) -> list[date]:
        first = self._lines(data, as_of)["issued_on"].min()
        return month_ends(
            first + timedelta(days=60), as_of - timedelta(days=self.spec.horizon_days)
        )

    def _features(self, data: Snapshot, day: date) -> pd.DataFrame:
        key = data.id, day
        if key not in self._held:
            self._held[key] = self._features_of(data, day)
        return self._held[key].copy()

    def _features_of(self, data: Snapshot, day: date) -> pd.DataFrame:
        lines = self._lines(data, day)
        out = pd.DataFrame({"client_id": sorted(set(lines["client_id"]))})
        for days, name in zip(WINDOWS, COLUMNS, strict=True):
            late = lines[lines["issued_on"] > day - timedelta(days=days)]
            sums = late.groupby("client_id")["money"].sum()
            out[name] = out["client_id"].map(sums).fillna(0.0)
        return out

    def _lines(self, data: Snapshot, day: date) -> pd.DataFrame:
        """The lines known at the end of ``day``; the snapshot is read once for all days."""
        if data.id not in self._read:
            columns = ["client_id", "issued_on", "quantity", "unit_price", "known_at"]
            read = data.read("invoice_lines", columns).to_pandas()
            self._read[data.id] = read.assign(money=read.quantity * read.unit_price)
        lines = self._read[data.id]
        since, until = lines["valid_from"], lines["valid_to"]
        valid = (since.isna() | (since <= day)) & (until.isna() | (until > day))
        return lines[(lines["known_at"] <= day) & valid]

    def _outcomes(self, data: Snapshot, days: Sequence[date], known: date) -> pd.DataFrame:
        lines = self._lines(data, known)
        horizon = timedelta(days=self.spec.horizon_days)
        parts = []
        for day in days:
            after = lines[(lines["issued_on"] > day) & (lines["issued_on"] <= day + horizon)]
            part = self._features(data, day).assign(as_of=day)
            sums = after.groupby("client_id")["money"].sum()
            parts.append(part.assign(outcome=part["client_id"].map(sums).fillna(0.0)))
        return pd.concat(parts, ignore_index=True)


class RepeatOrderServing(Serving):
    """One client, by the columns that were stored or given."""

    asked_by = ("client_id",)

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.rate = MonthlyRate.load(folder)

    @staticmethod
    def entity_of(query: Any) -> str | None:
        found: str | None = query.client_id
        return found

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        return {"client_id": entity or "nobody"}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        query, known = asked.query, dict(asked.stored or {})
        if asked.stored is None and query.revenue_30d is None:
            raise QueryError(f"client {query.client_id!r} is not stored", "/client_id")
        given = {} if query.revenue_30d is None else {"revenue_30d": query.revenue_30d}
        values = {name: given.get(name, known.get(name, 0.0)) for name in COLUMNS}
        frame = pd.DataFrame([{"client_id": query.client_id or "given", **values}])
        decision = decisions(self.rate, frame, reasons).iloc[0].to_dict()
        return Answer(
            decisions=[decision],
            stored=sorted(set(known) - set(given)),
            given=sorted(given),
            missing=sorted(set(COLUMNS) - set(known) - set(given)),
            detail={"share_of_year": float(np.divide(values["revenue_30d"], np.nan))},
        )


def decisions(rate: MonthlyRate, frame: pd.DataFrame, reasons: bool) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "buyer_id": frame["client_id"],
            "expected_revenue": rate.predict(frame),
            "active": frame["revenue_90d"] > 0,
            "reasons": [
                [{"feature": "revenue_90d", "value": value}] if reasons else None
                for value in frame["revenue_90d"].tolist()
            ],
        }
    )


EIGHTH = ModelSpec(
    name="repeat_orders",
    title="Repeat orders",
    question="How much will each client buy over the next 30 days?",
    decides="Whom to remind.",
    entity=("buyer_id",),
    row="a client that ever bought",
    needs=(frozenset({"invoice_lines"}),),
    uses=frozenset({"invoice_lines"}),
    horizon_days=30,
    method=f"{__name__}:RepeatOrderMethod",
    serving=f"{__name__}:RepeatOrderServing",
    estimator=f"{__name__}:MonthlyRate",
    gate=Gate(metric="mae", baseline="the last 30 days", higher_is_better=False),
    metrics={"mae": False},
    value="less error than the last 30 days, at a cost of one per unit",
    act_first=("-expected_revenue",),
    picture=Picture("bars", "buyer_id", ("expected_revenue",)),
    Query=RepeatOrderQuery,
    Decision=RepeatOrderDecision,
)
