"""Prices from invoice lines: elasticities of the quantity bought, by service and segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.estimators.price_choice import Elasticity, Recommendation, refused
from ml.estimators.pricing import PriceResponse
from ml.methods import price_data
from ml.methods.method import Judged
from ml.methods.price_evidence import KEYS, Bounds, PriceEvidence, cost_of
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
        response = PriceResponse()
        response.fit(**price_data.arguments(panel), clusters=panel["client_id"])
        return FittedLines(response)

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
        errors = fitted.response.score_on(**price_data.arguments(later))
        prices = self.prices(data, cut)[[*KEYS, "unit_cost", "yearly_quantity"]]
        frame = decisions.drop(columns="reasons", errors="ignore").merge(
            prices, on=KEYS, how="left"
        )
        return Judged(_with_later(frame, later).assign(**errors), f"purchases after {cut}")


def _with_later(frame: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Margin changes of the recommended prices under elasticities of later purchases."""
    names = ["later_change", "later_low", "later_high"]
    chosen = frame.loc[frame["recommended_price"].notna(), ["service_id"]].drop_duplicates()
    # Slopes are estimated together within a service, so only services with a price are needed.
    of_those = later[later["service_id"].isin(chosen["service_id"])]
    if of_those.empty:
        return frame.assign(**dict.fromkeys(names, np.nan))
    check = PriceResponse()
    check.fit(**price_data.arguments(of_those), clusters=of_those["client_id"])
    slopes = dict(zip(names, ("elasticity", "low", "high"), strict=True))
    found = check.table_[list(slopes.values())].add_prefix("later_slope_")
    found.index.names = KEYS
    frame = frame.merge(found.reset_index(), on=KEYS, how="left")
    price = frame["recommended_price"].astype(float)
    ratio = np.log(price / frame["current_price"])
    cost = frame["unit_cost"].fillna(0.0)
    for name, slope in slopes.items():
        after = (price - cost) * np.exp(frame[f"later_slope_{slope}"] * ratio)
        frame[name] = frame["yearly_quantity"] * (after - (frame["current_price"] - cost))
    return frame
