"""Pricing: how buyers answer to price, by service and segment, and prices within guardrails."""

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
from ml.methods.price_evidence import Bounds, FittedPrices, PriceEvidence
from ml.methods.price_lines import LinesEvidence
from ml.methods.quotes import QuotesEvidence

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

JUDGED_DAYS = 180
SD_OF_80 = 1.2816
"""Half an 80 % interval in standard deviations of a normal."""


class PricingMethod(Method):
    """Elasticities from invoice lines, or from quotes where a source has no lines.

    Recommends only where the evidence is not thin.
    """

    format = 2

    def learn(self, data: Snapshot, as_of: date) -> FittedPrices:
        return evidence_in(data).learn(data, as_of)

    def load(self, folder: Path) -> FittedPrices:
        return (QuotesEvidence() if _quoted(folder) else LinesEvidence()).load(folder)

    def format_of(self, folder: Path, stamped: int) -> int:
        # From 1 to 2 only the files of quotes changed; those of lines are as they were.
        changed = _quoted(folder) and not (folder / "win_slopes.json").is_file()
        return stamped if changed else max(stamped, 2)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        return {day: {"prices": evidence_in(data).prices(data, day)} for day in days}

    def decide(self, fitted: FittedPrices, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        rows = [self._recommend(fitted, row, self._bounds()) for row in records(inputs["prices"])]
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
        return evidence_in(data).judged(model, data, decided, cut, as_of)

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        first = decisions["as_of"].min()
        on_first = decisions[decisions["as_of"] == first]
        return evidence_in(data).judged(fitted, data, on_first, first, through)

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        return Comparison(
            ours={"squared_error": float(frame["squared_error"].iloc[0])},
            baseline={"squared_error": float(frame["squared_error_without_price"].iloc[0])},
            rows=int(frame["rows"].iloc[0]),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Margin change a year of the recommended prices under what was learned later.

        Off-policy by the direct method: evidence after the recommendation gives a response to
        price that the recommendation could not know; the interval is its own.
        """
        frame = judged.frame.dropna(subset=["recommended_price", "later_change"])
        if frame.empty:
            return Value(None, reason="no recommended price could be checked on later evidence")
        spread = (frame["later_high"] - frame["later_low"]).abs() / (2 * SD_OF_80)
        reach = SD_OF_80 * float(np.sqrt((spread**2).sum()))
        total = float(frame["later_change"].sum())
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
        self, fitted: FittedPrices, query: Any, stored: Sequence[Mapping[str, Any]], as_of: date
    ) -> Answer:
        if not stored:
            raise QueryError(
                f"service {query.service_id!r} in segment {query.segment!r} was neither sold"
                " nor quoted in the last year, so its current price is unknown",
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
        bounds = self._bounds(query.max_change, query.min_price, query.max_price)
        decision = self._recommend(fitted, row, bounds)
        detail: dict[str, Any] = {"yearly_quantity": row["yearly_quantity"]}
        if query.prices:
            detail["curve"] = _curve(fitted, row, query.prices)
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

    def _bounds(
        self,
        max_change: float | None = None,
        min_price: float | None = None,
        max_price: float | None = None,
    ) -> Bounds:
        return Bounds(max_change or self.settings.max_price_change, min_price, max_price)

    def _recommend(
        self, fitted: FittedPrices, row: Mapping[str, Any], bounds: Bounds
    ) -> dict[str, Any]:
        found = fitted.recommend(row, bounds)
        elasticity = _finite(found.elasticity)
        return {
            "service_id": row["service_id"],
            "segment": row["segment"],
            "current_price": row["current_price"],
            "recommended_price": found.recommended_price,
            "elasticity": elasticity,
            "elasticity_low": _finite(found.elasticity_low),
            "elasticity_high": _finite(found.elasticity_high),
            "expected_margin_change": found.expected_margin_change,
            "status": found.status,
            "reasons": [
                {"feature": found.reason, "value": None, "contribution": elasticity or 0.0}
            ],
        }


def evidence_in(data: Snapshot) -> PriceEvidence:
    """Lines where the source has them: what was bought says more than what was offered."""
    return LinesEvidence() if "invoice_lines" in data.tables else QuotesEvidence()


def _quoted(folder: Path) -> bool:
    return (folder / "quote_response.json").is_file()


def _curve(
    fitted: FittedPrices, row: Mapping[str, Any], prices: Sequence[float]
) -> list[dict[str, Any]]:
    try:
        return records(fitted.curve(row, prices))
    except ValueError as error:
        raise QueryError(str(error), "/prices") from error


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
