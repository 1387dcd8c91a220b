"""Batch scoring against LightGBM's bare predict on the same matrix.

A model's whole call (DataFrame in) over ``Booster.predict`` of the same trees on a ready matrix,
taking turns; with reasons against ``predict(pred_contrib=True)``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness import Benchmark, Row, at_most, best_of

TRAINING_ROWS = 20_000
PLAIN, REASONS = at_most(2), at_most(1.5)


def run(rows: int, columns: int) -> Iterator[Row]:
    """Fit both models on planted data; two rows for each."""
    from lightgbm import Booster

    from ml.estimators.churn import ChurnClassifier
    from ml.estimators.profitability import MarginRegressor

    X, chance, margin = planted(rows, columns)
    train = X.iloc[:TRAINING_ROWS]
    churn = ChurnClassifier().fit(train, chance[:TRAINING_ROWS])
    money = MarginRegressor().fit(train, margin[:TRAINING_ROWS])
    size = f"{rows:,} rows × {columns} columns"
    booster = Booster(model_str=churn.model_.text)
    yield from compare("churn", size, churn, churn.predict_proba, [booster], X)
    parts = [
        Booster(model_str=part.text) for part in (money.model_.compressed, money.model_.straight)
    ]
    yield from compare("profitability", size, money, money.predict, parts, X)


def planted(rows: int, columns: int) -> tuple[Any, Any, Any]:
    """Heavy-tailed features, a churn outcome and a margin that depend on several of them."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    values = rng.lognormal(sigma=1.0, size=(rows, columns))
    values[rng.random(values.shape) < 0.05] = np.nan
    X = pd.DataFrame(values, columns=[f"feature_{i}" for i in range(columns)])
    known = np.log(np.nan_to_num(values, nan=1.0))
    signal = known[:, 0] * known[:, 1] + known[:, 2] - np.abs(known[:, 3]) + known[:, 4] ** 2 / 2
    chance = (rng.random(rows) < 1 / (1 + np.exp(-signal))).astype(int)
    margin = 100 * np.exp(signal / 3) * rng.lognormal(sigma=0.8, size=rows) - 50
    return X, chance, margin


def compare(
    name: str,
    size: str,
    model: Any,
    score: Callable[[Any], Any],
    boosters: list[Any],
    X: Any,
) -> Iterator[Row]:
    """Plain scoring and scoring with reasons, each beside its bare time."""
    from ml.estimators.threads import num_threads

    matrix = model.encoder_.transform(X)
    threads = num_threads()

    def bare(**how: bool) -> None:
        for booster in boosters:
            booster.predict(matrix, num_threads=threads, **how)

    theirs, ours = best_of(bare, lambda: score(X), times=5)
    trees = sum(booster.num_trees() for booster in boosters)
    about = f"{name}, {size}, {trees} trees"
    yield Row(f"score {about}", "LightGBM's predict", ours, theirs, PLAIN)
    theirs, ours = best_of(lambda: bare(pred_contrib=True), lambda: model.reasons(X), times=2)
    yield Row(f"reasons {about}", "LightGBM's pred_contrib", ours, theirs, REASONS)


BENCHMARK = Benchmark(
    name="scoring",
    question="Batch scoring, with and without reasons, against LightGBM's bare predict.",
    run=run,
    full={"rows": 100_000, "columns": 40},
    quick={"rows": 2_000, "columns": 6},
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
