"""Pricing: how buyers answer to price, by service and segment, and prices within guardrails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.methods.frames import plain_records, records
from ml.methods.method import (
    Comparison,
    Frames,
    Judged,
    Method,
    Value,
)
from ml.methods.price_evidence import FittedPrices, PriceEvidence
from ml.methods.price_lines import LinesEvidence
from ml.methods.price_rules import Bounds, decided, entity, quoted
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

    def learn(self, data: Snapshot, as_of: date) -> FittedPrices:
        return evidence_in(data).learn(data, as_of)

    def load(self, folder: Path) -> FittedPrices:
        return (QuotesEvidence() if quoted(folder) else LinesEvidence()).load(folder)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        return {day: {"prices": evidence_in(data).prices(data, day)} for day in days}

    def decide(self, fitted: FittedPrices, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        learned, bounds = fitted.prices, Bounds(self.settings.max_price_change)
        rows = [decided(row, learned.recommend(row, bounds)) for row in records(inputs["prices"])]
        return pd.DataFrame(rows, columns=list(self.spec.Decision.model_fields))

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        cut = as_of - timedelta(days=JUDGED_DAYS)
        if after is not None and after > cut:
            cut = after
        model = fitted or self.learn(data, cut)
        inputs = self.inputs(data, [cut])[cut]
        decisions = self.decide(model, inputs, cut, "none").assign(as_of=cut)
        return evidence_in(data).judged(model, data, decisions, cut, as_of)

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

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        prices = plain_records(inputs["prices"])
        return pd.DataFrame(
            {
                "entity": [entity(row["service_id"], row["segment"]) for row in prices],
                "features": prices,
            }
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        return inputs["prices"][["current_price", "unit_cost", "yearly_quantity"]]


def evidence_in(data: Snapshot) -> PriceEvidence:
    """Lines where the source has them: what was bought says more than what was offered."""
    return LinesEvidence() if "invoice_lines" in data.tables else QuotesEvidence()
