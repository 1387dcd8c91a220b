"""How the chance to win an offer answers to its price, by group, and which price earns most."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from ml.estimators.price_choice import (
    Elasticity,
    Guardrails,
    Recommendation,
    best_price,
    positive,
    refused,
)
from ml.estimators.win_probability import WinProbability

Floats = NDArray[np.float64]
_PRICE = "relative_price"
_NODES = np.linspace(-0.8, 0.8, 33)
_STEP = 0.1  # half the stretch of log price that an elasticity is read off
_OFFERS = 40  # offers of a group that stand for it
_CAUTION = 1.15  # as for elasticities from lines: the spread between refits is itself estimated
_FEW = "(few)"


class QuoteResponse:
    """Win curves by group from :class:`WinProbability`, with refits on resampled clients.

    Price enters as its logarithm over a typical price of the service, column ``relative_price``.
    ``least_rows`` decided offers and ``least_price_spread`` (deviation of log price) are the least
    evidence of a group, ``widest`` the widest interval that counts as an answer.

    After ``fit``: ``labels_`` (groups), ``rows_`` and ``spread_`` by group, ``curves_`` (groups,
    1 + refits, nodes): the mean chance to win of the group's newest offers at each price.
    """

    def __init__(
        self,
        *,
        coverage: float = 0.8,
        least_rows: int = 30,
        least_price_spread: float = 0.01,
        widest: float = 2.0,
        refits: int = 16,
        seed: int = 0,
    ) -> None:
        self.coverage, self.least_rows = coverage, least_rows
        self.least_price_spread, self.widest = least_price_spread, widest
        self.refits, self.seed = refits, seed

    def fit(self, X: pd.DataFrame, won: Any, groups: pd.DataFrame, clusters: Any) -> QuoteResponse:
        """Learn from decided offers, oldest first.

        X (rows, columns) holds ``relative_price`` and what was known at quoting; ``won`` is 0 or
        1; ``groups`` (rows, 2) is a curve's key and ``clusters`` (rows,) the client, whose offers
        are resampled together. Raises ValueError for too few offers of either answer.
        """
        y = np.asarray(won, dtype=np.float64)
        columns = [groups[name].astype(str) for name in groups.columns]
        keys: list[tuple[str, ...]] = list(zip(*columns, strict=True))
        self.labels_ = sorted(set(keys))
        code_of = {label: at for at, label in enumerate(self.labels_)}
        code = np.array([code_of[key] for key in keys])
        counts = np.bincount(code)
        self.rows_ = counts.astype(np.int64)
        price = X[_PRICE].to_numpy(dtype=np.float64)
        self.spread_ = pd.Series(price).groupby(code).std(ddof=0).to_numpy()
        self.common_ = {
            str(name): sorted(_common(X[name], self.least_rows))
            for name in X.columns
            if not pd.api.types.is_numeric_dtype(X[name])
        }
        X = self._pooled(X)
        self.win_ = WinProbability(seed=self.seed).fit(X, y, price=_PRICE)
        # The same learner with every price alike is the model without price.
        self.without_price_ = WinProbability(seed=self.seed).fit(
            X.assign(**{_PRICE: 0.0}), y, price=_PRICE
        )
        models = [self.win_, *self._refitted(X, y, pd.factorize(np.asarray(clusters))[0])]
        self.curves_ = np.full((len(self.labels_), len(models), len(_NODES)), np.nan)
        for group in np.nonzero(counts >= self.least_rows)[0]:
            newest = X.iloc[np.nonzero(code == group)[0][-_OFFERS:]]
            repeated = newest.iloc[np.repeat(np.arange(len(newest)), len(_NODES))]
            asked = repeated.assign(**{_PRICE: np.tile(_NODES, len(newest))})
            for position, model in enumerate(models):
                chance = model.predict_proba(asked)[:, 1].reshape(len(newest), len(_NODES))
                self.curves_[group, position] = chance.mean(axis=0)
        return self

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
        """The price with the greatest expected margin (revenue without a cost) over the refits.

        ``quantity`` counts the units offered; changes are for it. Never further than
        ``max_change`` from the current price, outside the bounds or below cost, nor on thin
        evidence.
        """
        current = float(positive([current_price], "current_price")[0])
        elasticity, reason = self._evidence(group, current / typical_price)
        if reason:
            return refused(current, elasticity, reason)
        curves = self.curves_[self.labels_.index(group)]
        now = _at(curves, np.array([current / typical_price]))  # (1, refits)

        def volume(prices: Floats) -> Floats:
            return _at(curves, prices / typical_price) / now

        guardrails = Guardrails(max_change, min_price, max_price, unit_cost)
        # Refits that win more now carry more of what is sold now.
        mass, sold = now[0] / now.sum(), quantity * float(now.mean())
        return best_price(current, elasticity, guardrails, sold, volume, mass, "the chance to win")

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
        reach = ndtri(0.5 + self.coverage / 2) * _CAUTION * float(change[1:].std(ddof=1))
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
        reach = ndtri(0.5 + self.coverage / 2) * _CAUTION * chance[:, 1:].std(axis=1, ddof=1)
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

    def score_on(self, X: pd.DataFrame, won: Any) -> dict[str, float]:
        """Brier score and log loss on offers not learnt from, with and without the price."""
        y, pooled = np.asarray(won, dtype=np.float64), self._pooled(X)
        ours = self.win_.predict_proba(pooled)[:, 1]
        base = self.without_price_.predict_proba(pooled.assign(**{_PRICE: 0.0}))[:, 1]
        return {
            "squared_error": float(((y - ours) ** 2).mean()),
            "squared_error_without_price": float(((y - base) ** 2).mean()),
            "log_loss": _log_loss(y, ours),
            "log_loss_without_price": _log_loss(y, base),
            "rows": float(len(y)),
        }

    def _refitted(self, X: pd.DataFrame, y: Floats, cluster: Any) -> list[WinProbability]:
        rng = np.random.default_rng(self.seed)
        members = pd.Series(np.arange(len(y))).groupby(cluster).indices
        names = np.arange(len(members))
        found: list[WinProbability] = []
        while len(found) < self.refits:
            drawn = rng.choice(names, len(names))
            rows = np.concatenate([members[name] for name in drawn])
            if 0 < y[rows].sum() < len(rows):
                found.append(self.win_.refit(X.iloc[rows], y[rows]))
        return found

    def _pooled(self, X: pd.DataFrame) -> pd.DataFrame:
        """X with categories too rare to have an effect of their own made one."""
        kept = {
            name: X[name].where(X[name].isin(levels) | X[name].isna(), _FEW)
            for name, levels in self.common_.items()
        }
        return X.assign(**kept)

    def _evidence(self, group: tuple[str, str], ratio: float) -> tuple[Elasticity, str]:
        """The elasticity of winning at this price over the typical one, and why it is thin."""
        none = Elasticity(None, None, None, self.coverage)
        if group not in self.labels_:
            return none, "never decided before the training"
        at = self.labels_.index(group)
        if self.rows_[at] < self.least_rows:
            return none, f"only {self.rows_[at]} decided offers; {self.least_rows} are needed"
        if self.spread_[at] < self.least_price_spread:
            return none, (
                f"the quoted price hardly changes: {self.spread_[at]:.1%}, "
                f"{self.least_price_spread:.1%} is needed"
            )
        if abs(np.log(ratio)) + _STEP > _NODES[-1]:
            return none, "the price now is far from any that was quoted"
        ends = np.log(_at(self.curves_[at], ratio * np.exp([-_STEP, _STEP])))
        slopes = (ends[1] - ends[0]) / (2 * _STEP)
        reach = ndtri(0.5 + self.coverage / 2) * _CAUTION * float(slopes[1:].std(ddof=1))
        middle = float(slopes[0])
        low, high = middle - reach, middle + reach
        found = Elasticity(middle, low, high, self.coverage)
        if high - low > self.widest:
            return found, f"the interval {low:.2f} to {high:.2f} is too wide to act on"
        if high >= 0:
            return found, (
                f"the interval {low:.2f} to {high:.2f} does not exclude that price has no effect"
            )
        return found, ""

    def save(self, folder: Path) -> None:
        """Write quote_response.json, quote_curves.npz and the two win models in folders."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.win_.save(folder / "win")
        self.without_price_.save(folder / "without_price")
        np.savez(folder / "quote_curves.npz", curves=self.curves_, spread=self.spread_)
        state = {
            "parameters": {name: getattr(self, name) for name in _PARAMETERS},
            "labels": [list(label) for label in self.labels_],
            "rows": self.rows_.tolist(),
            "common": self.common_,
        }
        (folder / "quote_response.json").write_text(json.dumps(state, indent=1))

    @classmethod
    def load(cls, folder: Path) -> QuoteResponse:
        """What ``save`` wrote; curves and recommendations are the same to the last bit."""
        folder = Path(folder)
        state = json.loads((folder / "quote_response.json").read_text())
        model = cls(**state["parameters"])
        model.labels_ = [tuple(label) for label in state["labels"]]
        model.rows_ = np.array(state["rows"], dtype=np.int64)
        model.common_ = state["common"]
        with np.load(folder / "quote_curves.npz", allow_pickle=False) as arrays:
            model.curves_, model.spread_ = arrays["curves"], arrays["spread"]
        model.win_ = WinProbability.load(folder / "win")
        model.without_price_ = WinProbability.load(folder / "without_price")
        return model


_PARAMETERS = ("coverage", "least_rows", "least_price_spread", "widest", "refits", "seed")


def _common(column: pd.Series, least: int) -> list[str]:
    counts = column.dropna().astype(str).value_counts()
    return [str(name) for name in counts.index[counts >= least]]


def _at(curves: Floats, ratio: Floats) -> Floats:
    """Chances at these prices over the typical one, (prices, refits); flat beyond the nodes."""
    where = np.log(ratio)
    return np.column_stack([np.interp(where, _NODES, curve) for curve in curves])


def _log_loss(y: Floats, chance: Floats) -> float:
    held = np.clip(chance, 1e-9, 1 - 1e-9)
    return float(-(y * np.log(held) + (1 - y) * np.log1p(-held)).mean())
