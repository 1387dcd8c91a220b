"""How quantity answers to price, and which price earns most within guardrails."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.estimators.partial_out import residuals
from ml.estimators.price_answers import FILE, ElasticityAnswers, Label
from ml.estimators.price_choice import Recommendation
from ml.estimators.price_data import PriceData
from ml.estimators.price_table import Rules, elasticity_table
from ml.estimators.win_probability import WinProbability

__all__ = ["PriceResponse", "Recommendation", "WinProbability"]

Floats = NDArray[np.float64]


class PriceResponse:
    """Own-price elasticities: log quantity on log price, both free of what the controls explain.

    ``least_rows`` and ``least_price_spread`` (deviation of log price that the controls leave) are
    the least evidence of a group, ``widest`` the widest interval that counts as an answer.

    After ``fit``: ``elasticity_`` (float, or Series by group), ``elasticity_interval_`` ((low,
    high), or DataFrame low, high by group) at ``coverage``; ``pooled_`` (elasticity, low, high
    over all groups); ``evidence_`` (DataFrame by group: status ``ok`` or ``thin_evidence``,
    reason, rows, price_spread, raw slope and its standard error before pooling); ``left_out_``
    rows without a positive price and quantity; ``answers_`` recommends and draws curves without
    pandas.
    """

    def __init__(
        self,
        *,
        coverage: float = 0.8,
        least_rows: int = 24,
        least_price_spread: float = 0.01,
        widest: float = 2.0,
    ) -> None:
        self.coverage, self.least_rows = coverage, least_rows
        self.least_price_spread, self.widest = least_price_spread, widest

    def fit(
        self,
        price: Any,
        quantity: Any,
        controls: pd.DataFrame | None = None,
        groups: pd.Series | pd.DataFrame | None = None,
        *,
        weights: Any = None,
        clusters: Any = None,
    ) -> PriceResponse:
        """Learn from price and quantity (rows,), each row one purchase, period or cell.

        ``controls``: numbers enter linearly, all else as one effect a value. ``groups``: a Series
        gives each value a slope and level of its own; a DataFrame each combination of its
        columns, with the controls' effects apart for each value of the first column (services).
        ``weights``: for instance purchases a row. ``clusters``: rows whose errors may go together.

        Rows with a quantity or price of 0 or less have no logarithm: they are left out and
        counted. log(1 + quantity) would depend on the unit chosen, so it is not offered.
        """
        data = PriceData.build(price, quantity, controls, groups, weights, clusters)
        self.left_out_ = data.left_out
        self.columns_, self.labels_ = data.group_names, data.labels
        count = len(data.labels)
        slopes, covariance = np.full(count, np.nan), np.zeros((count, count))
        spread = np.zeros(count)
        rows = np.bincount(data.group, minlength=count).astype(np.int64)
        # A group with too few rows gets no answer, and with a slope and a level of its own it
        # has next to nothing to say about the others.
        for inside in data.blocks(rows[data.group] >= self.least_rows):
            present = np.unique(data.group[inside])
            found = data.slopes(inside, present)
            slopes[present], covariance[np.ix_(present, present)] = found[0], found[1]
            spread[present] = found[2]
        rules = Rules(self.coverage, self.least_rows, self.least_price_spread, self.widest)
        table, self.pooled_ = elasticity_table(rules, slopes, covariance, spread, rows, data.labels)
        self.table_ = table.set_axis(self._index())
        self._publish()
        return self

    def _index(self) -> pd.Index:
        if len(self.columns_) > 1:
            return pd.MultiIndex.from_tuples(self.labels_, names=self.columns_)
        if self.columns_:
            return pd.Index([label[0] for label in self.labels_], name=self.columns_[0])
        return pd.Index(["all"])

    def _publish(self) -> None:
        table = self.table_
        columns = {name: table[name].tolist() for name in table.columns}
        self.answers_ = ElasticityAnswers.of(self.coverage, self.labels_, columns)
        names = ["status", "reason", "rows", "price_spread", "raw", "raw_error"]
        self.evidence_ = table[names]
        if self.columns_:
            self.elasticity_: Any = table["elasticity"]
            self.elasticity_interval_: Any = table[["low", "high"]]
        else:
            self.elasticity_ = float(table["elasticity"].iloc[0])
            self.elasticity_interval_ = (
                float(table["low"].iloc[0]),
                float(table["high"].iloc[0]),
            )

    def _label(self, group: Hashable | None) -> Label:
        if group is None and self.columns_:
            raise ValueError(f"group is needed: elasticities were fitted by {self.columns_}")
        label = ("all",) if group is None else group if isinstance(group, tuple) else (group,)
        if label not in self.labels_:
            raise KeyError(f"group {group!r} was not fitted; there are {len(self.labels_)} groups")
        return label

    def curve(
        self,
        prices: Any,
        group: Hashable | None = None,
        *,
        current_price: float,
        current_quantity: float = 1.0,
        unit_cost: float | None = None,
    ) -> pd.DataFrame:
        """Demand and margin at each price: price, expected_quantity, low, high, margin.

        Quantity is ``current_quantity`` at ``current_price`` (1: relative). ``margin`` is
        expected_quantity x (price - unit_cost), revenue without a cost. Raises ValueError where
        evidence is thin.
        """
        found = self.answers_.curve(
            prices,
            self._label(group),
            current_price=current_price,
            current_quantity=current_quantity,
            unit_cost=unit_cost,
        )
        return pd.DataFrame(found)

    def recommend(
        self,
        current_price: float,
        unit_cost: float | None = None,
        group: Hashable | None = None,
        *,
        max_change: float = 0.1,
        min_price: float | None = None,
        max_price: float | None = None,
        quantity: float = 1.0,
    ) -> Recommendation:
        """The price with the greatest expected margin (revenue without a cost).

        Never further than ``max_change`` from the current price, outside [min_price, max_price],
        or below cost; never on thin evidence. The expectation runs over the elasticity's
        uncertainty, not only its best value. Changes are for ``quantity`` at the current price.
        """
        return self.answers_.recommend(
            current_price,
            unit_cost,
            self._label(group),
            max_change=max_change,
            min_price=min_price,
            max_price=max_price,
            quantity=quantity,
        )

    def score_on(
        self,
        price: Any,
        quantity: Any,
        controls: pd.DataFrame | None = None,
        groups: pd.Series | pd.DataFrame | None = None,
        *,
        weights: Any = None,
    ) -> dict[str, float]:
        """Squared error of log quantity on rows not learnt from, with and without the price.

        Both sides know the controls' effects of these rows; only the slopes come from the fit.
        Rows of groups that are unknown or thin count with slope 0 on both sides.
        """
        data = PriceData.build(price, quantity, controls, groups, weights, None)
        known = dict(zip(self.labels_, self._slopes(), strict=True))
        slope = np.array([known.get(label, 0.0) for label in data.labels])[data.group]
        ours = base = 0.0
        for inside in data.blocks():
            left = residuals(
                np.column_stack([data.y[inside], (slope * data.x)[inside]]),
                data.numbers[inside],
                data.effects_of(inside),
                data.weights[inside],
            )
            ours += float(data.weights[inside] @ (left[:, 0] - left[:, 1]) ** 2)
            base += float(data.weights[inside] @ left[:, 0] ** 2)
        total = float(data.weights.sum())
        return {
            "squared_error": ours / total,
            "squared_error_without_price": base / total,
            "rows": float(len(data.y)),
        }

    def _slopes(self) -> Floats:
        good = (self.table_["status"] == "ok").to_numpy()
        return np.where(good, self.table_["elasticity"].to_numpy(), 0.0)

    def save(self, folder: Path) -> None:
        """Write price_response.json."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        table = self.table_.astype(object).where(self.table_.notna(), None)
        state = {
            "parameters": {
                "coverage": self.coverage,
                "least_rows": self.least_rows,
                "least_price_spread": self.least_price_spread,
                "widest": self.widest,
            },
            "columns": self.columns_,
            "labels": [list(label) for label in self.labels_],
            "pooled": self.pooled_,
            "left_out": self.left_out_,
            "table": {str(name): table[name].tolist() for name in table.columns},
        }
        (folder / FILE).write_text(json.dumps(state, indent=1))

    @classmethod
    def load(cls, folder: Path) -> PriceResponse:
        """What ``save`` wrote; curves and recommendations are the same to the last bit."""
        state = json.loads((Path(folder) / FILE).read_text())
        model = cls(**state["parameters"])
        model.columns_ = state["columns"]
        model.labels_ = [tuple(label) for label in state["labels"]]
        model.pooled_ = tuple(state["pooled"]) if state["pooled"] else None
        model.left_out_ = state["left_out"]
        table = pd.DataFrame(state["table"], index=model._index())
        numeric = [name for name in table.columns if name not in ("status", "reason")]
        table[numeric] = table[numeric].astype(np.float64)
        table["rows"] = table["rows"].astype(np.int64)
        model.table_ = table
        model._publish()
        return model
