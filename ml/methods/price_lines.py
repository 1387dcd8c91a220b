"""Prices from invoice lines: elasticities of the quantity bought, by service and segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.estimators.price_choice import Elasticity, Recommendation, refused
from ml.estimators.price_panel import learn_from_panel, panel_arguments
from ml.estimators.pricing import PriceResponse
from ml.methods import price_data
from ml.methods.method import Judged
from ml.methods.price_evidence import Bounds, PriceEvidence, cost_of, with_later
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

LEAST_PANEL_ROWS = 200


class FittedLines:
    """Elasticities by service and segment."""

    def __init__(self, response: PriceResponse) -> None:
        self.response = response

    def save(self, folder: Path) -> None:
        """The response's files."""
        self.response.save(folder)

    def recommend(self, row: Mapping[str, Any], bounds: Bounds) -> Recommendation:
        """The best price at the group's elasticity."""
        group = (row["service_id"], row["segment"])
        if group not in self.response.table_.index:
            none = Elasticity(None, None, None, self.response.coverage)
            return refused(row["current_price"], none, "never sold before the training")
        return self.response.recommend(
            row["current_price"],
            cost_of(row),
            group,
            max_change=bounds.max_change,
            min_price=bounds.min_price,
            max_price=bounds.max_price,
            quantity=row["yearly_quantity"],
        )

    def curve(self, row: Mapping[str, Any], prices: Sequence[float]) -> pd.DataFrame:
        """Columns price, expected_quantity, low, high, margin, for a year."""
        group = (row["service_id"], row["segment"])
        if group not in self.response.table_.index:
            raise ValueError("never sold before the training")
        return self.response.curve(
            prices,
            group,
            current_price=row["current_price"],
            current_quantity=row["yearly_quantity"],
            unit_cost=cost_of(row),
        )


class LinesEvidence(PriceEvidence):
    """Purchases: log quantity on log price, a client compared with itself."""

    def learn(self, data: Snapshot, as_of: date) -> FittedLines:
        panel = price_data.panel(data, as_of)
        if len(panel) < LEAST_PANEL_ROWS:
            raise NotEnoughDataError(
                f"Pricing needs at least {LEAST_PANEL_ROWS} client-months of purchases,"
                f" there are {len(panel)} up to {as_of}"
            )
        return FittedLines(learn_from_panel(panel))

    def load(self, folder: Path) -> FittedLines:
        return FittedLines(PriceResponse.load(folder))

    def prices(self, data: Snapshot, day: date) -> pd.DataFrame:
        return price_data.current_prices(data, day)

    def judged(
        self, fitted: FittedLines, data: Snapshot, decisions: pd.DataFrame, cut: date, through: date
    ) -> Judged | None:
        panel = price_data.panel(data, through)
        later = panel[panel["period"] > pd.Timestamp(cut)]
        if len(later) < LEAST_PANEL_ROWS // 4:
            return None
        errors = fitted.response.score_on(**panel_arguments(later))
        chosen = decisions.loc[decisions["recommended_price"].notna(), "service_id"]
        # Slopes are estimated together within a service, so only services with a price are needed.
        of_those = later[later["service_id"].isin(chosen)]
        check = None if of_those.empty else partial(_later_change, learn_from_panel(of_those))
        frame = with_later(decisions, self.prices(data, cut), check)
        return Judged(frame.assign(**errors), f"purchases after {cut}")


def _later_change(check: PriceResponse, row: Mapping[str, Any]) -> list[float]:
    """Margin change of a unit now sold, at the elasticity of later purchases and at its ends."""
    group, cost = (row["service_id"], row["segment"]), cost_of(row) or 0.0
    if group not in check.table_.index:
        return [np.nan] * 3
    ratio = float(np.log(row["recommended_price"] / row["current_price"]))
    slopes = check.table_.loc[group, ["elasticity", "low", "high"]].to_numpy(dtype=np.float64)
    after = (row["recommended_price"] - cost) * np.exp(slopes * ratio)
    return [float(end) for end in after - (row["current_price"] - cost)]
