"""Pricing: elasticities by service and segment from invoice lines, and prices within guardrails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.methods import price_data
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

JUDGED_DAYS = 180
LEAST_PANEL_ROWS = 200
SD_OF_80 = 1.2816
"""Half an 80 % interval in standard deviations of a normal."""


class FittedPricing:
    """Elasticities by service and segment."""

    def __init__(self, response: Any) -> None:
        self.response = response

    def save(self, folder: Path) -> None:
        """The response's files."""
        self.response.save(folder)

    def group(self, service: str, segment: str) -> tuple[str, str] | None:
        """The fitted group; None where that service and segment were never sold."""
        key = (service, segment)
        return key if key in self.response.table_.index else None


class PricingMethod(Method):
    """Orthogonalised elasticities; recommends only where the evidence is not thin."""

    def learn(self, data: Snapshot, as_of: date) -> FittedPricing:
        panel = price_data.panel(data, as_of)
        if len(panel) < LEAST_PANEL_ROWS:
            raise NotEnoughDataError(
                f"{self.spec.title} needs at least {LEAST_PANEL_ROWS} client-months of purchases,"
                f" there are {len(panel)} up to {as_of}"
            )
        response = self.spec.estimator_class()()
        response.fit(**price_data.arguments(panel), clusters=panel["client_id"])
        return FittedPricing(response)

    def load(self, folder: Path) -> FittedPricing:
        return FittedPricing(self.spec.estimator_class().load(folder))

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        return {day: {"prices": price_data.current_prices(data, day)} for day in days}

    def decide(
        self, fitted: FittedPricing, inputs: Frames, day: date, reasons: str
    ) -> pd.DataFrame:
        rows = [self._recommend(fitted, row) for row in records(inputs["prices"])]
        return pd.DataFrame(rows, columns=list(self.spec.Decision.model_fields))

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        cut = as_of - timedelta(days=JUDGED_DAYS)
        if after is not None and after > cut:
            cut = after
        model = fitted or self.learn(data, cut)
        inputs = self.inputs(data, [cut])[cut]
        decided = self.decide(model, inputs, cut, "none").assign(as_of=cut)
        return self._judged(model, data, decided, cut, as_of)

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        first = decisions["as_of"].min()
        on_first = decisions[decisions["as_of"] == first]
        return self._judged(fitted, data, on_first, first, through)

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        return Comparison(
            ours={"squared_error": float(frame["squared_error"].iloc[0])},
            baseline={"squared_error": float(frame["squared_error_without_price"].iloc[0])},
            rows=int(frame["rows"].iloc[0]),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Margin change a year of the recommended prices under elasticities learned later.

        Off-policy by the direct method: purchases after the recommendation give an elasticity
        that the recommendation could not know; the interval is its own.
        """
        frame = judged.frame.dropna(subset=["recommended_price", "later_elasticity"])
        if frame.empty:
            return Value(None, reason="no recommended price could be checked on later purchases")
        ratio = np.log(frame["recommended_price"] / frame["current_price"])
        cost = frame["unit_cost"].fillna(0.0)
        before = frame["current_price"] - cost

        def change(elasticity: pd.Series) -> pd.Series:
            after = (frame["recommended_price"] - cost) * np.exp(elasticity * ratio)
            return frame["yearly_quantity"] * (after - before)

        expected = change(frame["later_elasticity"])
        spread = (change(frame["later_high"]) - change(frame["later_low"])).abs() / (2 * SD_OF_80)
        reach = SD_OF_80 * float(np.sqrt((spread**2).sum()))
        total = float(expected.sum())
        return Value(
            amount=total,
            baseline_amount=0.0,
            low=total - reach,
            high=total + reach,
            assumptions={
                "horizon": "one year at the last year's volume",
                "max_price_change": self.settings.max_price_change,
                "priced_segments": len(frame),
                "cost": "unit cost where known, else 0",
            },
        )

    def answer(
        self, fitted: FittedPricing, query: Any, stored: Sequence[Mapping[str, Any]], as_of: date
    ) -> Answer:
        if not stored:
            raise QueryError(
                f"service {query.service_id!r} in segment {query.segment!r} was not sold in the"
                " last year, so its current price is unknown",
                "/service_id",
            )
        row = dict(stored[0]["features"])
        given = [
            name
            for name in ("unit_cost", "min_price", "max_price", "max_change")
            if getattr(query, name) is not None
        ]
        if query.unit_cost is not None:
            row["unit_cost"] = query.unit_cost
        decision = self._recommend(
            fitted,
            row,
            max_change=query.max_change,
            min_price=query.min_price,
            max_price=query.max_price,
        )
        detail: dict[str, Any] = {"yearly_quantity": row["yearly_quantity"]}
        if query.prices:
            detail["curve"] = self._curve(fitted, row, query.prices)
        return Answer(
            [decision],
            stored=sorted(set(row) - set(given)),
            given=[*given, *(["prices"] if query.prices else [])],
            detail=detail,
        )

    def entity_of(self, query: Any) -> str | None:
        return price_data.entity(query.service_id, query.segment)

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        prices = inputs["prices"].astype(object)
        prices = prices.where(prices.notna(), None)
        return pd.DataFrame(
            {
                "entity": [
                    price_data.entity(row["service_id"], row["segment"]) for row in records(prices)
                ],
                "features": records(prices),
            }
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        return inputs["prices"][["current_price", "unit_cost", "yearly_quantity"]]

    def _recommend(
        self,
        fitted: FittedPricing,
        row: Mapping[str, Any],
        *,
        max_change: float | None = None,
        min_price: float | None = None,
        max_price: float | None = None,
    ) -> dict[str, Any]:
        decision: dict[str, Any] = {
            "service_id": row["service_id"],
            "segment": row["segment"],
            "current_price": row["current_price"],
            "recommended_price": None,
            "elasticity": None,
            "elasticity_low": None,
            "elasticity_high": None,
            "expected_margin_change": None,
            "status": "thin_evidence",
        }
        group = fitted.group(row["service_id"], row["segment"])
        if group is None:
            return decision | {"reasons": [_reason("never sold before the training")]}
        cost = row["unit_cost"]
        found = fitted.response.recommend(
            row["current_price"],
            None if cost is None or np.isnan(cost) else float(cost),
            group,
            max_change=max_change or self.settings.max_price_change,
            min_price=min_price,
            max_price=max_price,
            quantity=row["yearly_quantity"],
        )
        return decision | {
            "recommended_price": found.recommended_price,
            "elasticity": _finite(found.elasticity),
            "elasticity_low": _finite(found.elasticity_low),
            "elasticity_high": _finite(found.elasticity_high),
            "expected_margin_change": found.expected_margin_change,
            "status": found.status,
            "reasons": [_reason(found.reason, _finite(found.elasticity))],
        }

    def _curve(
        self, fitted: FittedPricing, row: Mapping[str, Any], prices: Sequence[float]
    ) -> list[dict[str, float]]:
        group = fitted.group(row["service_id"], row["segment"])
        cost = row["unit_cost"]
        try:
            curve = fitted.response.curve(
                prices,
                group,
                current_price=row["current_price"],
                current_quantity=row["yearly_quantity"],
                unit_cost=None if cost is None or np.isnan(cost) else float(cost),
            )
        except ValueError as error:
            raise QueryError(f"no curve: {error}", "/prices") from error
        points: list[dict[str, float]] = curve.to_dict("records")
        return points

    def _judged(
        self,
        model: FittedPricing,
        data: Snapshot,
        decisions: pd.DataFrame,
        cut: date,
        through: date,
    ) -> Judged | None:
        panel = price_data.panel(data, through)
        later = panel[panel["period"] > pd.Timestamp(cut)]
        if len(later) < LEAST_PANEL_ROWS // 4:
            return None
        errors = model.response.score_on(**price_data.arguments(later))
        check = self.spec.estimator_class()()
        check.fit(**price_data.arguments(later), clusters=later["client_id"])
        found = check.table_[["elasticity", "low", "high"]].rename(
            columns={"elasticity": "later_elasticity", "low": "later_low", "high": "later_high"}
        )
        found.index.names = ["service_id", "segment"]
        prices = self.inputs(data, [cut])[cut]["prices"]
        frame = decisions.merge(
            prices[["service_id", "segment", "unit_cost", "yearly_quantity"]],
            on=["service_id", "segment"],
            how="left",
        ).merge(found.reset_index(), on=["service_id", "segment"], how="left")
        frame = frame.drop(columns=["reasons"]).assign(**errors)
        return Judged(frame, f"purchases after {cut}")


def _reason(text: str, elasticity: float | None = None) -> dict[str, Any]:
    return {"feature": text, "value": None, "contribution": elasticity or 0.0}


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
