"""Prices from invoice lines: elasticities of the quantity bought, by service and segment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.estimators.price_panel import learn_from_panel, panel_arguments
from ml.estimators.pricing import PriceResponse
from ml.methods import price_data
from ml.methods.method import Judged
from ml.methods.price_evidence import PriceEvidence, with_later
from ml.methods.price_rules import LinesPrices, cost_of
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

    @property
    def prices(self) -> LinesPrices:
        """The response, ready to answer."""
        return LinesPrices(self.response.answers_)


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
