"""From what was learned of prices to recommendations and curves for one row of current prices.

Batch decisions and on-demand answers both go through these functions; no pandas here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ml.estimators.price_answers import ElasticityAnswers
from ml.estimators.price_choice import Elasticity, Recommendation, refused
from ml.estimators.win_curves import RESPONSE, WinCurves

Row = Mapping[str, Any]
"""service_id, segment, current_price, unit_cost (or None), yearly_quantity and more by name."""


@dataclass(frozen=True)
class Bounds:
    """What a recommended price must keep to; ``max_change`` is a share of the current price."""

    max_change: float
    min_price: float | None = None
    max_price: float | None = None


class Prices(Protocol):
    """What was learned from one kind of evidence, ready to answer."""

    def recommend(self, row: Row, bounds: Bounds) -> Recommendation:
        """The price that earns most, or why there is none."""

    def curve(self, row: Row, prices: Sequence[float]) -> dict[str, np.ndarray]:
        """What would be sold and earned in a year at each price; ValueError on thin evidence."""


class LinesPrices:
    """Elasticities of the quantity bought, by service and segment."""

    def __init__(self, answers: ElasticityAnswers) -> None:
        self.answers = answers

    def recommend(self, row: Row, bounds: Bounds) -> Recommendation:
        """The best price at the group's elasticity."""
        group = (row["service_id"], row["segment"])
        if group not in self.answers.groups:
            none = Elasticity(None, None, None, self.answers.coverage)
            return refused(row["current_price"], none, "never sold before the training")
        return self.answers.recommend(
            row["current_price"],
            cost_of(row),
            group,
            max_change=bounds.max_change,
            min_price=bounds.min_price,
            max_price=bounds.max_price,
            quantity=row["yearly_quantity"],
        )

    def curve(self, row: Row, prices: Sequence[float]) -> dict[str, np.ndarray]:
        """Columns price, expected_quantity, low, high, margin, for a year."""
        group = (row["service_id"], row["segment"])
        if group not in self.answers.groups:
            raise ValueError("never sold before the training")
        return self.answers.curve(
            prices,
            group,
            current_price=row["current_price"],
            current_quantity=row["yearly_quantity"],
            unit_cost=cost_of(row),
        )


class QuotesPrices:
    """Chances that an offer is taken, by service and segment."""

    def __init__(self, answers: WinCurves) -> None:
        self.answers = answers

    def recommend(self, row: Row, bounds: Bounds) -> Recommendation:
        """The price with the greatest chance to win times margin."""
        return self.answers.recommend(
            row["current_price"],
            cost_of(row),
            (row["service_id"], row["segment"]),
            typical_price=_typical(row),
            max_change=bounds.max_change,
            min_price=bounds.min_price,
            max_price=bounds.max_price,
            quantity=row["yearly_quantity"],
        )

    def curve(self, row: Row, prices: Sequence[float]) -> dict[str, np.ndarray]:
        """Columns price, win_probability, low, high, expected_quantity, margin, for a year."""
        return self.answers.curve(
            prices,
            (row["service_id"], row["segment"]),
            current_price=row["current_price"],
            typical_price=_typical(row),
            quantity=row["yearly_quantity"],
            unit_cost=cost_of(row),
        )


def load_prices(folder: Path) -> Prices:
    """What a training saved, whichever evidence it had."""
    if quoted(folder):
        return QuotesPrices(WinCurves.load(folder))
    return LinesPrices(ElasticityAnswers.load(folder))


def quoted(folder: Path) -> bool:
    """Whether a version learned from quotes."""
    return (folder / RESPONSE).is_file()


def entity(service: str, segment: str) -> str:
    """The online-features key of a service in a segment."""
    return f"{service}\x1f{segment}"


def decided(row: Row, found: Recommendation) -> dict[str, Any]:
    """The ``Decision`` columns of one recommendation."""
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
        "reasons": [{"feature": found.reason, "value": None, "contribution": elasticity or 0.0}],
    }


def cost_of(row: Row) -> float | None:
    """The unit cost of a row of prices, None where it is unknown."""
    return _finite(row["unit_cost"])


def _typical(row: Row) -> float:
    """The service's typical price; a source that had lines first knows only the current one."""
    typical = _finite(row.get("typical_price"))
    return float(row["current_price"]) if typical is None else typical


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
