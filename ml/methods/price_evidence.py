"""What prices are learned from, invoice lines or quotes, seen the same way by the pricing model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from ml.estimators.price_choice import Recommendation
from ml.methods.method import Judged

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

KEYS = ["service_id", "segment"]


@dataclass(frozen=True)
class Bounds:
    """What a recommended price must keep to; ``max_change`` is a share of the current price."""

    max_change: float
    min_price: float | None = None
    max_price: float | None = None


class FittedPrices(Protocol):
    """What was learned from one kind of evidence; ``row`` is one of ``PriceEvidence.prices``."""

    def save(self, folder: Path) -> None:
        """Text, JSON and npz files."""

    def recommend(self, row: Mapping[str, Any], bounds: Bounds) -> Recommendation:
        """The price that earns most, or why there is none."""

    def curve(self, row: Mapping[str, Any], prices: Sequence[float]) -> pd.DataFrame:
        """What would be sold and earned at each price; ValueError on thin evidence."""


class PriceEvidence(ABC):
    """One kind of evidence on how buyers answer to price."""

    @abstractmethod
    def learn(self, data: Snapshot, as_of: date) -> FittedPrices:
        """Learn from what was known by ``as_of``; NotEnoughDataError where that is too little."""

    @abstractmethod
    def load(self, folder: Path) -> FittedPrices:
        """What ``FittedPrices.save`` wrote."""

    @abstractmethod
    def prices(self, data: Snapshot, day: date) -> pd.DataFrame:
        """One row a service and segment: current_price, unit_cost, yearly_quantity, and more."""

    @abstractmethod
    def judged(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, cut: date, through: date
    ) -> Judged | None:
        """Decisions of ``cut`` beside what later evidence says; None where there is too little.

        Adds squared_error, squared_error_without_price and rows (the same in every row), and
        later_change, later_low, later_high: margin a year of the recommended price over the
        current one, as learned from later evidence alone; NaN where that cannot be said.
        """


def cost_of(row: Mapping[str, Any]) -> float | None:
    """The unit cost of a row of prices, None where it is unknown."""
    cost = row["unit_cost"]
    return None if cost is None or pd.isna(cost) else float(cost)
