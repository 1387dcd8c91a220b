"""What was learned of elasticities, ready to answer: recommendations and curves in numpy alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml.estimators.price_choice import (
    Elasticity,
    Guardrails,
    Recommendation,
    choose,
    positive,
    refused,
)

Floats = NDArray[np.float64]
Label = tuple[Any, ...]
FILE = "price_response.json"


@dataclass(frozen=True)
class Group:
    """One group's row of the elasticity table, None where it could not be estimated."""

    elasticity: Elasticity
    status: str
    reason: str


class ElasticityAnswers:
    """Groups by label, as ``PriceResponse`` published them."""

    def __init__(self, coverage: float, groups: Mapping[Label, Group]) -> None:
        self.coverage = coverage
        self.groups = dict(groups)

    @classmethod
    def of(
        cls, coverage: float, labels: Sequence[Label], table: Mapping[str, Sequence[Any]]
    ) -> Self:
        """From the table's columns elasticity, low, high, status and reason, in labels' order."""
        groups = {}
        for at, label in enumerate(labels):
            value, low, high = (_known(table[name][at]) for name in ("elasticity", "low", "high"))
            elasticity = Elasticity(value, low, high, coverage)
            groups[label] = Group(elasticity, str(table["status"][at]), str(table["reason"][at]))
        return cls(coverage, groups)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From what ``PriceResponse.save`` wrote."""
        state = json.loads((folder / FILE).read_text())
        labels = [tuple(label) for label in state["labels"]]
        return cls.of(state["parameters"]["coverage"], labels, state["table"])

    def recommend(
        self,
        current_price: float,
        unit_cost: float | None,
        label: Label,
        *,
        max_change: float = 0.1,
        min_price: float | None = None,
        max_price: float | None = None,
        quantity: float = 1.0,
    ) -> Recommendation:
        """See ``PriceResponse.recommend``."""
        group = self.groups[label]
        current = float(positive([current_price], "current_price")[0])
        if group.status != "ok":
            return refused(current, group.elasticity, group.reason)
        guardrails = Guardrails(max_change, min_price, max_price, unit_cost)
        return choose(current, group.elasticity, guardrails, quantity)

    def curve(
        self,
        prices: Any,
        label: Label,
        *,
        current_price: float,
        current_quantity: float = 1.0,
        unit_cost: float | None = None,
    ) -> dict[str, Floats]:
        """Columns of ``PriceResponse.curve``, (prices,) each."""
        group = self.groups[label]
        slope = group.elasticity
        if group.status != "ok" or slope.value is None or slope.low is None or slope.high is None:
            raise ValueError(f"no curve for {label!r}: {group.reason}")
        prices = positive(prices, "prices")
        ratio = np.log(prices / positive([current_price], "current_price")[0])
        expected = current_quantity * np.exp(slope.value * ratio)
        ends = [current_quantity * np.exp(end * ratio) for end in (slope.low, slope.high)]
        return {
            "price": prices,
            "expected_quantity": expected,
            "low": np.minimum(*ends),
            "high": np.maximum(*ends),
            "margin": expected * (prices - (unit_cost or 0.0)),
        }


def _known(value: Any) -> float | None:
    """JSON has None where the table has NaN."""
    return None if value is None or value != value else float(value)
