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

from ml.estimators.price_choice import Recommendation
from ml.estimators.price_slopes import PRICE, WinSlopes
from ml.estimators.win_curves import CURVES, NODES, RESPONSE, WinCurves

Floats = NDArray[np.float64]
_OFFERS = 40  # offers of a group that stand for it
_DRAWS = 16  # slopes that stand for a group's uncertainty


class QuoteResponse:
    """Win curves by group, from slopes of :class:`WinSlopes`, and the price that earns most.

    Price enters as its logarithm over a reference of the service, column ``relative_price``.
    ``slopes`` (default: ``WinSlopes()``) sets what evidence is needed and what hidden reasons may
    do; ``widest`` is the widest interval that counts as an answer.

    After ``fit``: ``slopes_``, ``labels_`` (groups), ``curves_`` (groups, 1 + draws, nodes): the
    mean chance to win of the group's newest offers at each price; ``steepness_`` (groups, nodes):
    elasticity of that chance for one unit of slope; ``answers_`` recommends and draws curves
    without pandas.
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
        self.curves_ = np.full((count, 1 + _DRAWS, len(NODES)), np.nan)
        self.steepness_ = np.full((count, len(NODES)), np.nan)
        for group in np.nonzero(np.isfinite(found.middle_))[0]:
            newest = np.nonzero(found.codes_ == group)[0][-_OFFERS:]
            odds = found.odds_[newest][:, None]
            away = NODES[None, :] - price[newest][:, None]
            middle, deviation = found.middle_[group], found.deviation_[group]
            for draw, slope in enumerate([middle, *(middle + deviation * points)]):
                # A dearer offer is never likelier to be taken, whatever the draw.
                chance = expit(odds + min(slope, 0.0) * away)
                self.curves_[group, draw] = chance.mean(axis=0)
                if draw == 0:
                    self.steepness_[group] = (chance * (1 - chance)).sum(0) / chance.sum(0)
        self.answers_ = WinCurves(
            coverage=found.coverage,
            least_rows=found.least_rows,
            least_price_spread=found.least_price_spread,
            widest=self.widest,
            labels=self.labels_,
            rows=found.rows_,
            spread=np.asarray(found.spread_, dtype=np.float64),
            middle=found.middle_,
            deviation=found.deviation_,
            curves=self.curves_,
            steepness=self.steepness_,
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
        """See ``WinCurves.recommend``."""
        return self.answers_.recommend(
            current_price,
            unit_cost,
            group,
            typical_price=typical_price,
            max_change=max_change,
            min_price=min_price,
            max_price=max_price,
            quantity=quantity,
        )

    def margin_change(
        self, prices: tuple[float, float], cost: float, group: tuple[str, str], typical: float
    ) -> tuple[float, float, float]:
        """See ``WinCurves.margin_change``."""
        return self.answers_.margin_change(prices, cost, group, typical)

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
        """See ``WinCurves.curve``."""
        found = self.answers_.curve(
            prices,
            group,
            current_price=current_price,
            typical_price=typical_price,
            quantity=quantity,
            unit_cost=unit_cost,
        )
        return pd.DataFrame(found)

    def save(self, folder: Path) -> None:
        """Write quote_response.json, quote_curves.npz and the files of the slopes."""
        folder = Path(folder)
        self.slopes_.save(folder)
        np.savez(folder / CURVES, curves=self.curves_, steepness=self.steepness_)
        (folder / RESPONSE).write_text(json.dumps({"widest": self.widest}, indent=1))

    @classmethod
    def load(cls, folder: Path) -> QuoteResponse:
        """What ``save`` wrote; curves and recommendations are the same to the last bit."""
        folder = Path(folder)
        answers = WinCurves.load(folder)
        model = cls(WinSlopes.load(folder), widest=answers.widest)
        model.slopes_, model.labels_ = model.slopes, answers.labels
        model.curves_, model.steepness_ = answers.curves, answers.steepness
        model.answers_ = answers
        return model
