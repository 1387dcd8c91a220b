"""Slopes of winning an offer with its log price, by group: orthogonal, pooled, open on the hidden.

Partially linear logit with cross-fitting (Chernozhukov et al. 2018; Liu, Zhang and Zhou 2021).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from ml.estimators.boosting import Boosted
from ml.estimators.folds import stratified_folds
from ml.estimators.price_selection import Explained, Hidden, Logit, hidden_lift, local_levels
from ml.estimators.shrinkage import pool
from ml.estimators.tabular import TabularEncoder
from ml.estimators.win_curves import SLOPES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PRICE, PERIOD = "relative_price", "period"
_FOLDS = 5
_LEAST_OF_EACH = 20  # offers won, and lost, below which nothing is learned
_MOST_DOUBT = 0.5
_CAUTION = 1.15  # as for elasticities from lines: the spread between groups is itself estimated
_PARAMETERS = ("coverage", "least_rows", "least_price_spread", "hidden", "seed")


class WinSlopes:
    """Log odds to win on what is left of log price once all that was known is taken out.

    Slopes lean on their service, their segment and the whole. ``hidden``: how much of winning
    hidden reasons may explain, over all that is known; 0 takes the columns for all there is.

    After ``fit``: ``labels_`` (groups); by group ``rows_``, ``spread_`` (deviation of what is left
    of log price), ``slopes_`` (as the columns say it), ``middle_`` and ``deviation_`` (of a normal
    whose interval at ``coverage`` holds every slope that hidden reasons allow), NaN without
    evidence; ``hidden_``; of the rows learnt from ``codes_`` (group) and ``odds_`` (log odds at the
    own price).
    """

    def __init__(
        self,
        *,
        coverage: float = 0.8,
        least_rows: int = 30,
        least_price_spread: float = 0.01,
        hidden: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.coverage, self.least_rows = coverage, least_rows
        self.least_price_spread, self.hidden, self.seed = least_price_spread, hidden, seed

    def fit(
        self,
        X: pd.DataFrame,
        won: Any,
        groups: pd.DataFrame,
        clusters: Any,
        circumstances: Sequence[str],
    ) -> WinSlopes:
        """See ``QuoteResponse.fit``."""
        y = np.asarray(won, dtype=np.float64)
        lost, taken = int((y == 0).sum()), int((y == 1).sum())
        if min(lost, taken) < _LEAST_OF_EACH:
            raise ValueError(
                f"{taken} offers won and {lost} lost; at least {_LEAST_OF_EACH} of each are needed"
            )
        keys = _keys(groups)
        self.labels_ = sorted(set(keys))
        code_of = {label: at for at, label in enumerate(self.labels_)}
        code = self.codes_ = np.array([code_of[key] for key in keys], dtype=np.int64)
        cluster = pd.factorize(np.asarray(clusters))[0].astype(np.int64)
        folds = stratified_folds(y, cluster, _FOLDS, self.seed)
        # All quotes of a service move together with its list and its promotions, which buyers see
        # in every offer: only what sets an offer apart in its month can tell its price's effect.
        price = X[PRICE].to_numpy(dtype=np.float64)
        cells = pd.factorize(groups.iloc[:, 0].astype(str) + "\x1f" + X[PERIOD].astype(str))[0]
        level, doubt = local_levels(price, cells.astype(np.int64), folds)
        known = X.drop(columns=[PRICE, PERIOD])
        self.price_ = Explained.fit(known, price - level, folds, "regression", self.seed)
        self.chance_ = Explained.fit(known, y, folds, "binary", self.seed)
        left = price - level - self.price_.held_out
        self.rows_ = np.bincount(code).astype(np.int64)
        self.spread_ = pd.Series(left).groupby(code).std(ddof=0).to_numpy()
        self.hidden_ = self._hidden(known, price - level, y, folds, cluster, circumstances)
        share = float(doubt.mean()) / max(float(left.var()), 1e-12)
        self._estimate(left, y, code, cluster, min(share, _MOST_DOUBT))
        return self

    def score_on(self, X: pd.DataFrame, won: Any, groups: pd.DataFrame) -> dict[str, float]:
        """Brier score and log loss on offers not learnt from, with and without the price."""
        y = np.asarray(won, dtype=np.float64)
        left = X[PRICE].to_numpy(dtype=np.float64) - self.price_.predict(X)
        baseline = _baseline(self.chance_.predict(X))
        known = dict(zip(self.labels_, self.slopes_, strict=True))
        slope = np.array([known.get(key, np.nan) for key in _keys(groups)])
        slope = np.where(np.isnan(slope), self.common_[0], slope)
        ours = expit(slope * left + baseline @ self.common_[1:])
        base = expit(baseline @ self.without_price_)
        return {
            "squared_error": float(((y - ours) ** 2).mean()),
            "squared_error_without_price": float(((y - base) ** 2).mean()),
            "log_loss": _log_loss(y, ours),
            "log_loss_without_price": _log_loss(y, base),
            "rows": float(len(y)),
        }

    def _hidden(
        self,
        known: pd.DataFrame,
        price: Floats,
        won: Floats,
        folds: Ints,
        cluster: Ints,
        circumstances: Sequence[str],
    ) -> Hidden:
        if not self.hidden:
            return Hidden(0.0, 0.0, 0.0)
        shared = known.drop(columns=list(circumstances))
        left = price - Explained.fit(shared, price, folds, "regression", self.seed).held_out
        baseline = Explained.fit(shared, won, folds, "binary", self.seed).held_out
        own = known[list(circumstances)].astype(np.float64)
        gone = own.isna()
        parts = [own.fillna(own.mean()).fillna(0.0), gone.loc[:, gone.any()].astype(np.float64)]
        dummies = pd.get_dummies(shared.select_dtypes(exclude="number"), drop_first=True)
        numbers = shared.select_dtypes(include="number").fillna(0.0)
        design = np.column_stack([np.ones(len(own)), dummies.to_numpy(np.float64), numbers])
        values = pd.concat(parts, axis=1).to_numpy()
        values = values - design @ np.linalg.lstsq(design, values, rcond=1e-9)[0]
        return hidden_lift(left, values, baseline, won, cluster, self.hidden, self.seed)

    def _estimate(self, left: Floats, won: Floats, code: Ints, cluster: Ints, doubt: float) -> None:
        """Slopes of the groups with evidence, pooled; ``doubt`` is the share of what is left of
        the price that may be a move of the service's level."""
        counted = (self.rows_ >= self.least_rows) & (self.spread_ >= self.least_price_spread)
        enough = np.nonzero(counted)[0]
        # The first column takes the offers of all other groups.
        place = np.zeros(len(self.labels_), dtype=np.int64)
        place[enough] = np.arange(1, len(enough) + 1)
        prices = np.where(place[code][:, None] == np.arange(len(enough) + 1), left[:, None], 0.0)
        baseline = _baseline(self.chance_.held_out)
        design = np.column_stack([prices, baseline])
        fit = Logit.fit(design, won)
        count = len(self.labels_)
        self.slopes_, self.middle_, self.deviation_ = np.full((3, count), np.nan)
        if len(enough):
            own = slice(1, len(enough) + 1)
            errors = fit.covariance(design, won, cluster)[own, own]
            relations = [
                pd.factorize(pd.Series([self.labels_[at][part] for at in enough]))[0]
                for part in range(len(self.labels_[0]))
            ]
            pooled = pool(fit.weights[own], errors, relations)
            self.slopes_[enough] = pooled.mean
            self.middle_[enough], self.deviation_[enough] = self._open(
                pooled.mean, _CAUTION * pooled.deviation, doubt
            )
        # Without evidence of its own a group answers as the others do, in predictions alone.
        common = fit.weights[0] if not len(enough) else pooled.centre
        self.common_ = np.array([common, *fit.weights[len(enough) + 1 :]])
        slope = np.where(np.isnan(self.slopes_), common, self.slopes_)
        self.odds_ = slope[code] * left + baseline @ self.common_[1:]
        self.without_price_ = Logit.fit(baseline, won).weights

    def _open(self, slope: Floats, deviation: Floats, doubt: float) -> tuple[Floats, Floats]:
        """Middle and deviation of all slopes that may be true.

        Hidden reasons lift a slope; a level's moves that buyers see in every offer, where they are
        still in the price, draw it to zero.
        """
        wide = ndtri(0.5 + self.coverage / 2)
        least, most = self.hidden_.reach()
        steeper = slope * doubt / (1 - doubt)
        both = np.hypot(deviation, self.hidden_.deviation)
        # The end that takes the columns for all there is has no error of the lift.
        low = slope + np.minimum(steeper, 0) - most - wide * (both if most > 0 else deviation)
        high = slope + np.maximum(steeper, 0) - least + wide * (both if least < 0 else deviation)
        return (low + high) / 2, (high - low) / (2 * wide)

    def save(self, folder: Path) -> None:
        """Write win_slopes.json, and the models of price and chance without it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        models = {"price": self.price_, "chance": self.chance_}
        for name, explained in models.items():
            explained.model.save(folder, name)
        arrays = ("rows_", "spread_", "slopes_", "middle_", "deviation_", "common_")
        state = {
            "parameters": {name: getattr(self, name) for name in _PARAMETERS},
            "labels": [list(label) for label in self.labels_],
            "hidden": asdict(self.hidden_),
            "encoders": {name: model.encoder.to_dict() for name, model in models.items()},
            "without_price": self.without_price_.tolist(),
            "arrays": {name: _listed(getattr(self, name)) for name in arrays},
        }
        (folder / SLOPES).write_text(json.dumps(state, indent=1))

    @classmethod
    def load(cls, folder: Path) -> WinSlopes:
        """What ``save`` wrote, without the rows learnt from."""
        folder = Path(folder)
        state = json.loads((folder / SLOPES).read_text())
        model = cls(**state["parameters"])
        model.labels_ = [tuple(label) for label in state["labels"]]
        model.hidden_ = Hidden(**state["hidden"])
        encoders = {
            name: TabularEncoder.from_dict(found) for name, found in state["encoders"].items()
        }
        none = np.empty(0)  # rows learnt from are not kept
        model.price_ = Explained(encoders["price"], Boosted.load(folder, "price"), none)
        model.chance_ = Explained(encoders["chance"], Boosted.load(folder, "chance"), none)
        model.without_price_ = np.array(state["without_price"])
        for name, values in state["arrays"].items():
            kind = np.int64 if name == "rows_" else np.float64
            setattr(model, name, np.array(values, dtype=kind))
        model.odds_, model.codes_ = none, none.astype(np.int64)
        return model


def _keys(groups: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(zip(*(groups[name].astype(str) for name in groups.columns), strict=True))


def _baseline(odds: Floats) -> Floats:
    """Columns of the regression beside the prices: a level, and the log odds without a price."""
    return np.column_stack([np.ones(len(odds)), odds])


def _listed(values: Floats) -> list[Any]:
    """JSON has no NaN."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def _log_loss(y: Floats, chance: Floats) -> float:
    held = np.clip(chance, 1e-9, 1 - 1e-9)
    return float(-(y * np.log(held) + (1 - y) * np.log1p(-held)).mean())
