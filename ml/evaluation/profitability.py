"""Profitability on open data: ranking, size and honesty of the margins and revenues foretold."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from ml.estimators.profitability import MarginRegressor
from ml.evaluation.client_data import FOLDS, SEED, held_out, online_retail, ta_feng
from ml.evaluation.result import Result
from ml.metrics import spearman

_COVERAGE = 0.8


def evaluate(data: Path) -> list[Result]:
    """The figures on both data sets; ``data`` holds their folders."""
    return [*_ta_feng(data), *_online_retail(data)]


def _ta_feng(data: Path) -> list[Result]:
    clients = ta_feng(data, date(2001, 1, 31), 28)
    found = held_out(clients.X, clients.margin, _fit_and_foretell)
    mean, median, low, high = found.T
    protocol = (
        "margin (sales_price - cost, line totals) from 2001-02-01 to 02-28; features to 2001-01-31;"
        f" {len(clients.X):,} clients; {FOLDS} folds over clients stratified by margin,"
        f" seed {SEED}, out-of-fold predictions pooled"
    )
    y = clients.margin
    return [
        Result("ta_feng", "profitability", "r2", _r2(y, mean), 0.22, "OLS .250", protocol),
        Result("ta_feng", "profitability", "spearman", spearman(y, mean), 0.38, ".393", protocol),
        Result(
            "ta_feng",
            "profitability",
            "capture_top_10",
            _capture(y, mean),
            None,
            ".547",
            f"margin of the tenth ranked highest over that of the truly highest tenth; {protocol}",
        ),
        Result(
            "ta_feng",
            "profitability",
            "mae_median",
            float(np.abs(y - median).mean()),
            None,
            "96.9 (l1)",
            f"predict_quantiles(X, (.5,)); {protocol}",
            higher_is_better=False,
        ),
        _coverage_error("ta_feng", y, low, high, 0.05, protocol),
    ]


def _online_retail(data: Path) -> list[Result]:
    train = online_retail(data, date(2010, 6, 12), 90)
    test = online_retail(data, date(2010, 9, 10), 90)
    mean, _, low, high = _fit_and_foretell(train.X, train.margin, test.X).T
    naive = spearman(test.margin, test.X["revenue_90d"].to_numpy())
    protocol = (
        "revenue, credits included, of 90 days; fitted on as_of 2010-06-12, whose labels end on"
        " 2010-09-10; tested on as_of 2010-09-10, labels to 2010-12-09;"
        f" last 90 days' revenue alone {naive:.3f} on the same rows"
    )
    return [
        Result(
            "online_retail",
            "profitability",
            "spearman",
            spearman(test.margin, mean),
            None,
            ".50",
            protocol,
        ),
        _coverage_error("online_retail", test.margin, low, high, None, protocol),
    ]


def _fit_and_foretell(X: pd.DataFrame, y: np.ndarray, unseen: pd.DataFrame) -> np.ndarray:
    """Mean, median, low and high of each unseen row, shape (rows, 4)."""
    model = MarginRegressor().fit(X, y)
    tail = (1 - _COVERAGE) / 2
    spread = model.predict_quantiles(unseen, (0.5, tail, 1 - tail))
    return np.column_stack([model.predict(unseen), spread])


def _coverage_error(
    dataset: str,
    y: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    most: float | None,
    protocol: str,
) -> Result:
    covered = float(((y >= low) & (y <= high)).mean())
    return Result(
        dataset,
        "profitability",
        "coverage_error",
        abs(covered - _COVERAGE),
        most,
        "-",
        f"80 % intervals hold {covered:.1%}; {protocol}",
        higher_is_better=False,
    )


def _r2(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _capture(y: np.ndarray, predicted: np.ndarray) -> float:
    tenth = max(1, len(y) // 10)
    return float(y[np.argsort(-predicted)[:tenth]].sum() / np.sort(y)[-tenth:].sum())
