"""Batch scoring against LightGBM's bare predict on the same matrix; prints both ratios.

Run: ``python benchmarks/bench_scoring.py [--rows 100000] [--columns 40]``. Best of several turns:
a model's whole call (DataFrame in) over ``Booster.predict`` of its own boosters on a ready matrix.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ml.estimators.churn import ChurnClassifier
from ml.estimators.profitability import MarginRegressor
from ml.estimators.threads import num_threads

TRAINING_ROWS = 20_000
PLAIN_BOUND, REASONS_BOUND = 2.0, 1.5


def main() -> None:
    """Fit both models on planted data and print a line for each ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=40)
    given = parser.parse_args()
    X, chance, margin = planted(given.rows, given.columns)
    train = X.iloc[:TRAINING_ROWS]
    churn = ChurnClassifier().fit(train, chance[:TRAINING_ROWS])
    money = MarginRegressor().fit(train, margin[:TRAINING_ROWS])
    print(f"{given.rows:,} rows x {given.columns} columns, {num_threads()} threads")
    report("churn", churn, churn.predict_proba, [churn.model_.booster], X)
    parts = [money.model_.compressed.booster, money.model_.straight.booster]
    report("profitability", money, money.predict, parts, X)


def planted(rows: int, columns: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Heavy-tailed features, a churn outcome and a margin that depend on several of them."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(sigma=1.0, size=(rows, columns))
    values[rng.random(values.shape) < 0.05] = np.nan
    X = pd.DataFrame(values, columns=[f"feature_{i}" for i in range(columns)])
    known = np.log(np.nan_to_num(values, nan=1.0))
    signal = known[:, 0] * known[:, 1] + known[:, 2] - np.abs(known[:, 3]) + known[:, 4] ** 2 / 2
    chance = (rng.random(rows) < 1 / (1 + np.exp(-signal))).astype(int)
    margin = 100 * np.exp(signal / 3) * rng.lognormal(sigma=0.8, size=rows) - 50
    return X, chance, margin


def report(
    name: str,
    model: Any,
    score: Callable[[pd.DataFrame], Any],
    boosters: list[Any],
    X: pd.DataFrame,
) -> None:
    """Two lines: plain scoring and scoring with reasons, each with its bare time and ratio."""
    matrix = model.encoder_.transform(X)
    threads = num_threads()

    def bare_predict(**how: bool) -> None:
        for booster in boosters:
            booster.predict(matrix, num_threads=threads, **how)

    bare, ours = best_of(bare_predict, lambda: score(X), times=5)
    shap, reasons = best_of(
        lambda: bare_predict(pred_contrib=True), lambda: model.reasons(X), times=2
    )
    trees = sum(booster.num_trees() for booster in boosters)
    for label, base, mine, bound in (
        ("plain", bare, ours, PLAIN_BOUND),
        ("with reasons", shap, reasons, REASONS_BOUND),
    ):
        print(
            f"{name:14s} {label:13s} bare {base:7.3f} s  ours {mine:7.3f} s"
            f"  ratio {mine / base:5.2f} (bound {bound})  {trees} trees"
        )


def best_of(*calls: Callable[[], Any], times: int) -> list[float]:
    """Seconds of the quickest run of each call; they take turns, so a busy neighbour hits all."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for call, seconds in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in taken]


if __name__ == "__main__":
    main()
