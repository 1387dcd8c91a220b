"""The price that earns most, given an elasticity and its uncertainty, within guardrails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.estimators.normal import reach

Floats = NDArray[np.float64]
_NODES = 9
_CANDIDATES = 401


@dataclass(frozen=True)
class Recommendation:
    """The next price, or why there is none.

    Changes are money for the ``quantity`` given (or per unit now sold); low and high belong to
    the elasticity's interval.
    """

    status: str
    reason: str
    current_price: float
    recommended_price: float | None
    elasticity: float | None
    elasticity_low: float | None
    elasticity_high: float | None
    expected_quantity_change: float | None
    expected_margin_change: float | None
    margin_change_low: float | None
    margin_change_high: float | None


@dataclass(frozen=True)
class Elasticity:
    """An elasticity with its interval; None where it could not be estimated."""

    value: float | None
    low: float | None
    high: float | None
    coverage: float

    def nodes(self) -> tuple[Floats, Floats]:
        """Slopes and their weights that stand for the normal distribution of the elasticity."""
        if self.value is None or self.high is None:
            raise ValueError("an elasticity that could not be estimated has no distribution")
        points, mass = _normal_nodes()
        deviation = (self.high - self.value) / reach(self.coverage)
        return self.value + points * deviation, mass


@dataclass(frozen=True)
class Guardrails:
    """Largest change as a share of the current price, absolute bounds, cost of one unit."""

    max_change: float
    min_price: float | None
    max_price: float | None
    unit_cost: float | None

    def range(self, current: float) -> tuple[float, float]:
        """Least and greatest price allowed; the least is above the greatest where none is."""
        if not 0 < self.max_change <= 1:
            raise ValueError(f"max_change is {self.max_change}; expected a share in (0, 1]")
        low = max(current * (1 - self.max_change), self.min_price or 0.0, self.unit_cost or 0.0)
        # A price of 0 has no logarithm and no margin.
        return max(low, 0.01 * current), min(
            current * (1 + self.max_change), self.max_price or np.inf
        )


def choose(
    current: float, elasticity: Elasticity, guardrails: Guardrails, quantity: float
) -> Recommendation:
    """The best price at constant elasticity, which is uncertain as its interval says."""
    slopes, mass = elasticity.nodes()

    def volume(prices: Floats) -> Floats:
        return np.exp(np.log(prices / current)[:, None] * slopes[None, :])

    return best_price(current, elasticity, guardrails, quantity, volume, mass, "quantity")


def best_price(
    current: float,
    elasticity: Elasticity,
    guardrails: Guardrails,
    quantity: float,
    volume: Callable[[Floats], Floats],
    mass: Floats,
    of: str,
) -> Recommendation:
    """The best price within the guardrails, or ``thin_evidence`` where they leave none.

    ``volume`` gives what is sold at each price relative to now, (prices,) -> (prices, draws), the
    draws weighing ``mass`` (draws,); ``quantity`` is sold now; ``of`` names what answers to price.
    """
    low, high = guardrails.range(current)
    cost = guardrails.unit_cost or 0.0
    if low > high:
        return refused(
            current,
            elasticity,
            f"no price within {guardrails.max_change:.0%} of {current:.2f} keeps to the bounds and "
            f"covers the cost of {cost:.2f}",
        )

    def change(prices: Floats, sold: Floats) -> Floats:
        """Margin change by price and draw, (prices, draws)."""
        return quantity * ((prices - cost)[:, None] * sold - (current - cost))

    candidates = np.linspace(low, high, _CANDIDATES)
    best = candidates[int(np.argmax(change(candidates, volume(candidates)) @ mass))]
    # To the cent, but inside the guardrails; and not at all for less than staying brings.
    chosen = np.array([float(np.clip(np.round(best, 2), low, high))])
    if low <= current <= high and float((change(chosen, volume(chosen)) @ mass)[0]) <= 0.0:
        chosen = np.array([current])
    outer = np.array([[elasticity.low, elasticity.high]], dtype=np.float64)
    ends = change(chosen, np.exp(np.log(chosen / current)[:, None] * outer))[0]
    sold = volume(chosen)
    return Recommendation(
        status="recommended",
        reason=_why(of, elasticity, current, float(chosen[0]), (low, high), cost),
        current_price=current,
        recommended_price=float(chosen[0]),
        elasticity=elasticity.value,
        elasticity_low=elasticity.low,
        elasticity_high=elasticity.high,
        expected_quantity_change=quantity * (float((sold @ mass)[0]) - 1),
        expected_margin_change=float((change(chosen, sold) @ mass)[0]),
        margin_change_low=float(ends.min()),
        margin_change_high=float(ends.max()),
    )


def refused(current: float, elasticity: Elasticity, reason: str) -> Recommendation:
    """No price, and why."""
    return Recommendation(
        status="thin_evidence",
        reason=reason,
        current_price=current,
        recommended_price=None,
        elasticity=elasticity.value,
        elasticity_low=elasticity.low,
        elasticity_high=elasticity.high,
        expected_quantity_change=None,
        expected_margin_change=None,
        margin_change_low=None,
        margin_change_high=None,
    )


def _why(
    of: str,
    elasticity: Elasticity,
    current: float,
    chosen: float,
    ends: tuple[float, float],
    cost: float,
) -> str:
    """One sentence on what set the price."""
    text = f"1 % more on the price goes with {elasticity.value:.2f} % of {of}"
    if chosen == current:
        return f"{text}; the price now, {current:.2f}, earns most"
    if abs(chosen - ends[0]) < 0.01:
        return f"{text}; a lower price might earn more, the guardrail stops at {chosen:.2f}"
    if abs(chosen - ends[1]) < 0.01:
        return f"{text}; a higher price might earn more, the guardrail stops at {chosen:.2f}"
    over = f" over a unit cost of {cost:.2f}" if cost else ""
    return f"{text}; {chosen:.2f} earns most{over} (now {current:.2f})"


@cache
def _normal_nodes() -> tuple[Floats, Floats]:
    points, mass = np.polynomial.hermite_e.hermegauss(_NODES)
    return points, mass / mass.sum()


def positive(values: Any, name: str) -> Floats:
    """Values as an array of positive numbers (n,); else ValueError naming them."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name} must be positive numbers, got {values!r}")
    return array
