"""Prices from quotes: the chance that an offer is taken, by service and segment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml.estimators.price_quotes import QuoteResponse
from ml.methods import quotes_data
from ml.methods.method import Judged
from ml.methods.price_evidence import KEYS, PriceEvidence, with_later
from ml.methods.price_rules import QuotesPrices, cost_of
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

LEAST_OFFERS = 100
LEAST_LATER = 40
CIRCUMSTANCES = ["relative_quantity", "against_client", "past_price", "past_quotes", "past_share"]
FEATURES = ["relative_price", "period", *KEYS, "month", "day", "relative_cost", *CIRCUMSTANCES]


class FittedQuotes:
    """Win curves by service and segment."""

    def __init__(self, response: QuoteResponse) -> None:
        self.response = response

    def save(self, folder: Path) -> None:
        """The response's files."""
        self.response.save(folder)

    @property
    def prices(self) -> QuotesPrices:
        """The response, ready to answer."""
        return QuotesPrices(self.response.answers_)


class QuotesEvidence(PriceEvidence):
    """Decided offers: won or lost at a price; open ones are neither."""

    def learn(self, data: Snapshot, as_of: date) -> FittedQuotes:
        decided = _decided(quotes_data.offers(data, as_of))
        if len(decided) < LEAST_OFFERS:
            raise NotEnoughDataError(
                f"Pricing needs at least {LEAST_OFFERS} decided quotes, there are"
                f" {len(decided)} up to {as_of}"
            )
        try:
            return FittedQuotes(_fit(decided))
        except ValueError as error:
            raise NotEnoughDataError(f"Pricing cannot learn from quotes: {error}") from error

    def load(self, folder: Path) -> FittedQuotes:
        return FittedQuotes(QuoteResponse.load(folder))

    def prices(self, data: Snapshot, day: date) -> pd.DataFrame:
        return quotes_data.current_quotes(quotes_data.offers(data, day), day)

    def judged(
        self,
        fitted: FittedQuotes,
        data: Snapshot,
        decisions: pd.DataFrame,
        cut: date,
        through: date,
    ) -> Judged | None:
        known = _decided(quotes_data.offers(data, through))
        later = known[known["quoted_on"] > pd.Timestamp(cut)]
        if len(later) < LEAST_LATER:
            return None
        errors = fitted.response.score_on(later[FEATURES], later["won"], later[KEYS])
        try:
            check = partial(_later_change, _fit(later))
        except ValueError:  # too few of either answer for a win curve of their own
            check = None
        frame = with_later(decisions, self.prices(data, cut), check)
        return Judged(frame.assign(**errors), f"quotes after {cut} decided since")


def _later_change(check: QuoteResponse, row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Margin change of a unit offered, under win curves of later quotes."""
    prices = row["current_price"], float(row["recommended_price"])
    group = row["service_id"], row["segment"]
    return check.margin_change(prices, cost_of(row) or 0.0, group, row["typical_price"])


def _fit(decided: pd.DataFrame) -> QuoteResponse:
    # Without a client's name each offer stands for itself.
    clusters = decided["client_id"].where(decided["client_id"].notna(), decided.index.astype(str))
    return QuoteResponse().fit(
        decided[FEATURES],
        decided["won"],
        decided[KEYS],
        clusters,
        circumstances=CIRCUMSTANCES,
    )


def _decided(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["won"].notna()].reset_index(drop=True)
