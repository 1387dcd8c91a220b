"""Win curves as learned, ready to answer: recommendations and curves in numpy alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml.estimators.normal import reach
from ml.estimators.price_choice import (
    Elasticity,
    Guardrails,
    Recommendation,
    best_price,
    positive,
    refused,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NODES = np.linspace(-0.8, 0.8, 33)
RESPONSE, CURVES, SLOPES = "quote_response.json", "quote_curves.npz", "win_slopes.json"
_HIDDEN = "with what hidden reasons behind dear offers may do"


@dataclass(frozen=True)
class WinCurves:
    """Chances to win by group and price, with the evidence behind them.

    ``labels`` (groups); by group ``rows``, ``spread`` (of what is left of log price), ``middle``
    and ``deviation`` of the slopes; ``curves`` (groups, 1 + draws, nodes) and ``steepness``
    (groups, nodes) over :data:`NODES` of log price; ``least_rows`` and ``least_price_spread`` the
    least evidence, ``widest`` the widest interval that counts as an answer.
    """

    coverage: float
    least_rows: int
    least_price_spread: float
    widest: float
    labels: list[tuple[str, ...]]
    rows: Ints
    spread: Floats
    middle: Floats
    deviation: Floats
    curves: Floats
    steepness: Floats

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From what ``QuoteResponse.save`` wrote, without the models that only training needs."""
        state = json.loads((folder / SLOPES).read_text())
        widest = json.loads((folder / RESPONSE).read_text())["widest"]
        parameters, arrays = state["parameters"], state["arrays"]
        with np.load(folder / CURVES, allow_pickle=False) as stored:
            curves, steepness = stored["curves"], stored["steepness"]
        return cls(
            coverage=parameters["coverage"],
            least_rows=parameters["least_rows"],
            least_price_spread=parameters["least_price_spread"],
            widest=widest,
            labels=[tuple(label) for label in state["labels"]],
            rows=np.array(arrays["rows_"], dtype=np.int64),
            spread=np.array(arrays["spread_"], dtype=np.float64),
            middle=np.array(arrays["middle_"], dtype=np.float64),
            deviation=np.array(arrays["deviation_"], dtype=np.float64),
            curves=curves,
            steepness=steepness,
        )

    def recommend(
        self,
        current_price: float,
        unit_cost: float | None,
        group: tuple[str, str],
        *,
        typical_price: float,
        max_change: float = 0.1,
        min_price: float | None = None,
        max_price: float | None = None,
        quantity: float = 1.0,
    ) -> Recommendation:
        """The price with the greatest expected margin (revenue without a cost) over the draws.

        ``quantity`` counts the units offered; changes are for it. Never further than
        ``max_change`` from the current price, outside the bounds or below cost, nor on thin
        evidence.
        """
        current = float(positive([current_price], "current_price")[0])
        elasticity, reason = self._evidence(group, current / typical_price)
        if reason:
            return refused(current, elasticity, reason)
        curves = self.curves[self.labels.index(group)]
        now = _at(curves, np.array([current / typical_price]))  # (1, draws)

        def volume(prices: Floats) -> Floats:
            return _at(curves, prices / typical_price) / now

        guardrails = Guardrails(max_change, min_price, max_price, unit_cost)
        # Draws that win more now carry more of what is sold now.
        mass, sold = now[0] / now.sum(), quantity * float(now.mean())
        found = best_price(current, elasticity, guardrails, sold, volume, mass, "the chance to win")
        gain, worst = found.expected_margin_change, found.margin_change_low
        if gain is not None and worst is not None and worst < -gain:
            low, high = elasticity.low, elasticity.high
            return refused(
                current,
                elasticity,
                f"the interval {low:.2f} to {high:.2f}, {_HIDDEN}, leaves open whether a higher or"
                " a lower price earns more",
            )
        return found

    def margin_change(
        self, prices: tuple[float, float], cost: float, group: tuple[str, str], typical: float
    ) -> tuple[float, float, float]:
        """Change in margin for one unit offered, from the first price to the second.

        With the ends of the interval; NaN where the group has no curve.
        """
        if group not in self.labels:
            return np.nan, np.nan, np.nan
        chance = _at(self.curves[self.labels.index(group)], np.array(prices) / typical)
        change = chance[1] * (prices[1] - cost) - chance[0] * (prices[0] - cost)
        wide = reach(self.coverage) * float(change[1:].std(ddof=1))
        return float(change[0]), float(change[0]) - wide, float(change[0]) + wide

    def curve(
        self,
        prices: Sequence[float],
        group: tuple[str, str],
        *,
        current_price: float,
        typical_price: float,
        quantity: float = 1.0,
        unit_cost: float | None = None,
    ) -> dict[str, Floats]:
        """At each price: price, win_probability, low, high, expected_quantity, margin.

        Raises ValueError where evidence is thin.
        """
        _, reason = self._evidence(group, current_price / typical_price)
        if reason:
            raise ValueError(f"no curve for {group!r}: {reason}")
        asked = positive(prices, "prices")
        chance = _at(self.curves[self.labels.index(group)], asked / typical_price)
        wide = reach(self.coverage) * chance[:, 1:].std(axis=1, ddof=1)
        middle = chance.mean(axis=1)
        return {
            "price": asked,
            "win_probability": middle,
            "low": np.clip(middle - wide, 0.0, 1.0),
            "high": np.clip(middle + wide, 0.0, 1.0),
            "expected_quantity": quantity * middle,
            "margin": quantity * middle * (asked - (unit_cost or 0.0)),
        }

    def _evidence(self, group: tuple[str, str], ratio: float) -> tuple[Elasticity, str]:
        """The elasticity of winning at this price over the reference, and why it is thin."""
        none = Elasticity(None, None, None, self.coverage)
        if group not in self.labels:
            return none, "never decided before the training"
        at = self.labels.index(group)
        if self.rows[at] < self.least_rows:
            return none, f"only {self.rows[at]} decided offers; {self.least_rows} are needed"
        if self.spread[at] < self.least_price_spread:
            return none, (
                f"the quoted price hardly changes: {self.spread[at]:.1%} once what was known is "
                f"taken out, {self.least_price_spread:.1%} is needed"
            )
        where = float(np.log(ratio))
        if abs(where) > NODES[-1]:
            return none, "the price now is far from any that was quoted"
        # d ln P / d ln price of a logistic curve is its slope times the chance to lose.
        weight = float(np.interp(where, NODES, self.steepness[at]))
        wide = reach(self.coverage) * weight * float(self.deviation[at])
        middle = weight * float(self.middle[at])
        low, high = middle - wide, middle + wide
        elasticity = Elasticity(middle, low, high, self.coverage)
        seen = f"the interval {low:.2f} to {high:.2f}, {_HIDDEN},"
        if high - low > self.widest:
            return elasticity, f"{seen} is too wide to act on"
        if high >= 0:
            return elasticity, f"{seen} does not exclude that price has no effect"
        return elasticity, ""


def _at(curves: Floats, ratio: Floats) -> Floats:
    """Chances at these prices over the reference, (prices, draws); flat beyond the nodes."""
    where = np.log(ratio)
    return np.column_stack([np.interp(where, NODES, curve) for curve in curves])
