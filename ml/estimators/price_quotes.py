"""How the chance to win an offer answers to its price, by group, and which price earns most."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from ml.estimators.price_choice import (
    Elasticity,
    Guardrails,
    Recommendation,
    best_price,
    positive,
    refused,
)
from ml.estimators.price_slopes import PRICE, WinSlopes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NODES = np.linspace(-0.8, 0.8, 33)
_OFFERS = 40  # offers of a group that stand for it
_DRAWS = 16  # slopes that stand for a group's uncertainty
_HIDDEN = "with what hidden reasons behind dear offers may do"


class QuoteResponse:
    """Win curves by group, from slopes of :class:`WinSlopes`, and the price that earns most.

    Price enters as its logarithm over a reference of the service, column ``relative_price``.
    ``slopes`` (default: ``WinSlopes()``) sets what evidence is needed and what hidden reasons may
    do; ``widest`` is the widest interval that counts as an answer.

    After ``fit``: ``slopes_``, ``labels_`` (groups), ``curves_`` (groups, 1 + draws, nodes): the
    mean chance to win of the group's newest offers at each price; ``steepness_`` (groups, nodes):
    elasticity of that chance for one unit of slope.
    """

    def __init__(self, slopes: WinSlopes | None = None, *, widest: float = 3.0) -> None:
        self.slopes, self.widest = slopes or WinSlopes(), widest

    def fit(
        self,
        X: pd.DataFrame,
        won: Any,
        groups: pd.DataFrame,
        clusters: Any,
        *,
        circumstances: Sequence[str],
    ) -> QuoteResponse:
        """Learn from decided offers, oldest first.

        X (rows, columns) holds ``relative_price``, ``period`` (a name) and what was known at
        quoting; ``circumstances`` names its columns (numbers) that are of the single offer or
        client. ``won`` is 0 or 1; ``groups`` (rows, 2) is a curve's key, service first;
        ``clusters`` (rows,) the client. Raises ValueError for too few offers of either answer.
        """
        self.slopes_ = self.slopes.fit(X, won, groups, clusters, circumstances)
        self.labels_ = self.slopes_.labels_
        self._draw_curves(X[PRICE].to_numpy(dtype=np.float64))
        return self

    def score_on(self, X: pd.DataFrame, won: Any, groups: pd.DataFrame) -> dict[str, float]:
        """Brier score and log loss on offers not learnt from, with and without the price."""
        return self.slopes_.score_on(X, won, groups)

    def _draw_curves(self, price: Floats) -> None:
        """Chances at each price by draw of the slope, and the chance to lose that weighs slopes."""
        found, count = self.slopes_, len(self.labels_)
        points = ndtri((np.arange(_DRAWS) + 0.5) / _DRAWS)
        self.curves_ = np.full((count, 1 + _DRAWS, len(_NODES)), np.nan)
        self.steepness_ = np.full((count, len(_NODES)), np.nan)
        for group in np.nonzero(np.isfinite(found.middle_))[0]:
            newest = np.nonzero(found.codes_ == group)[0][-_OFFERS:]
            odds = found.odds_[newest][:, None]
            away = _NODES[None, :] - price[newest][:, None]
            middle, deviation = found.middle_[group], found.deviation_[group]
            for draw, slope in enumerate([middle, *(middle + deviation * points)]):
                # A dearer offer is never likelier to be taken, whatever the draw.
                chance = expit(odds + min(slope, 0.0) * away)
                self.curves_[group, draw] = chance.mean(axis=0)
                if draw == 0:
                    self.steepness_[group] = (chance * (1 - chance)).sum(0) / chance.sum(0)

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
        curves = self.curves_[self.labels_.index(group)]
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
        if group not in self.labels_:
            return np.nan, np.nan, np.nan
        chance = _at(self.curves_[self.labels_.index(group)], np.array(prices) / typical)
        change = chance[1] * (prices[1] - cost) - chance[0] * (prices[0] - cost)
        reach = ndtri(0.5 + self.slopes_.coverage / 2) * float(change[1:].std(ddof=1))
        return float(change[0]), float(change[0]) - reach, float(change[0]) + reach

    def curve(
        self,
        prices: Sequence[float],
        group: tuple[str, str],
        *,
        current_price: float,
        typical_price: float,
        quantity: float = 1.0,
        unit_cost: float | None = None,
    ) -> pd.DataFrame:
        """At each price: price, win_probability, low, high, expected_quantity, margin.

        Raises ValueError where evidence is thin.
        """
        _, reason = self._evidence(group, current_price / typical_price)
        if reason:
            raise ValueError(f"no curve for {group!r}: {reason}")
        asked = positive(prices, "prices")
        chance = _at(self.curves_[self.labels_.index(group)], asked / typical_price)
        reach = ndtri(0.5 + self.slopes_.coverage / 2) * chance[:, 1:].std(axis=1, ddof=1)
        middle = chance.mean(axis=1)
        return pd.DataFrame(
            {
                "price": asked,
                "win_probability": middle,
                "low": np.clip(middle - reach, 0.0, 1.0),
                "high": np.clip(middle + reach, 0.0, 1.0),
                "expected_quantity": quantity * middle,
                "margin": quantity * middle * (asked - (unit_cost or 0.0)),
            }
        )

    def _evidence(self, group: tuple[str, str], ratio: float) -> tuple[Elasticity, str]:
        """The elasticity of winning at this price over the reference, and why it is thin."""
        none = Elasticity(None, None, None, self.slopes_.coverage)
        if group not in self.labels_:
            return none, "never decided before the training"
        at, found = self.labels_.index(group), self.slopes_
        if found.rows_[at] < found.least_rows:
            return none, f"only {found.rows_[at]} decided offers; {found.least_rows} are needed"
        if found.spread_[at] < found.least_price_spread:
            return none, (
                f"the quoted price hardly changes: {found.spread_[at]:.1%} once what was known is "
                f"taken out, {found.least_price_spread:.1%} is needed"
            )
        where = float(np.log(ratio))
        if abs(where) > _NODES[-1]:
            return none, "the price now is far from any that was quoted"
        # d ln P / d ln price of a logistic curve is its slope times the chance to lose.
        weight = float(np.interp(where, _NODES, self.steepness_[at]))
        reach = ndtri(0.5 + self.slopes_.coverage / 2) * weight * float(found.deviation_[at])
        middle = weight * float(found.middle_[at])
        low, high = middle - reach, middle + reach
        elasticity = Elasticity(middle, low, high, self.slopes_.coverage)
        seen = f"the interval {low:.2f} to {high:.2f}, {_HIDDEN},"
        if high - low > self.widest:
            return elasticity, f"{seen} is too wide to act on"
        if high >= 0:
            return elasticity, f"{seen} does not exclude that price has no effect"
        return elasticity, ""

    def save(self, folder: Path) -> None:
        """Write quote_response.json, quote_curves.npz and the files of the slopes."""
        folder = Path(folder)
        self.slopes_.save(folder)
        np.savez(folder / "quote_curves.npz", curves=self.curves_, steepness=self.steepness_)
        (folder / "quote_response.json").write_text(json.dumps({"widest": self.widest}, indent=1))

    @classmethod
    def load(cls, folder: Path) -> QuoteResponse:
        """What ``save`` wrote; curves and recommendations are the same to the last bit."""
        folder = Path(folder)
        state = json.loads((folder / "quote_response.json").read_text())
        model = cls(WinSlopes.load(folder), **state)
        model.slopes_ = model.slopes
        model.labels_ = model.slopes_.labels_
        with np.load(folder / "quote_curves.npz", allow_pickle=False) as arrays:
            model.curves_, model.steepness_ = arrays["curves"], arrays["steepness"]
        return model


def _at(curves: Floats, ratio: Floats) -> Floats:
    """Chances at these prices over the reference, (prices, draws); flat beyond the nodes."""
    where = np.log(ratio)
    return np.column_stack([np.interp(where, _NODES, curve) for curve in curves])
