"""What prices are learned from, invoice lines or quotes, seen the same way by the pricing model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from ml.methods.frames import records
from ml.methods.method import Judged
from ml.methods.price_rules import Prices

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

KEYS = ["service_id", "segment"]


class FittedPrices(Protocol):
    """What was learned from one kind of evidence; ``row`` is one of ``PriceEvidence.prices``."""

    def save(self, folder: Path) -> None:
        """Text, JSON and npz files."""

    @property
    def prices(self) -> Prices:
        """The same, ready to answer."""


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


def with_later(
    decisions: pd.DataFrame,
    prices: pd.DataFrame,
    change: Callable[[Mapping[str, Any]], Sequence[float]] | None,
) -> pd.DataFrame:
    """Decisions beside the prices they were made on, and later_change, later_low, later_high.

    ``change`` gives these three for one unit of the yearly quantity, from a row of decision and
    prices with a recommended price; None where nothing was learned later.
    """
    extra = [name for name in prices.columns if name not in decisions.columns]
    frame = decisions.drop(columns="reasons", errors="ignore").merge(
        prices[[*KEYS, *extra]], on=KEYS, how="left"
    )
    changes = np.full((len(frame), 3), np.nan)
    for at, row in enumerate(records(frame)):
        if change is not None and not pd.isna(row["recommended_price"]):
            changes[at] = row["yearly_quantity"] * np.asarray(change(row))
    names = ("later_change", "later_low", "later_high")
    return frame.assign(**{name: changes[:, at] for at, name in enumerate(names)})
