"""Folds for out-of-fold predictions: whole groups together, outcomes spread evenly, seeded."""

from __future__ import annotations

import numpy as np


class TooFewRowsError(ValueError):
    """There is too little to learn from; the message says what was given and what is needed."""


def group_codes(groups: object, rows: int) -> np.ndarray:
    """``groups`` as integers of shape (rows,); every row its own group where it is None."""
    if groups is None:
        return np.arange(rows)
    import pandas as pd

    codes, _ = pd.factorize(np.asarray(groups, dtype=object), use_na_sentinel=False)
    if len(codes) != rows:
        raise ValueError(f"groups has {len(codes)} values for {rows} rows of X; give one for each")
    return np.asarray(codes, dtype=np.int64)


def stratified_folds(y: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row, shape (rows,), values 0 … folds-1.

    Groups stay whole. Groups are ordered by their mean outcome, ties at random, and dealt in turn
    (each deal of ``folds`` groups in random order), so every fold sees the same spread of outcomes,
    binary or continuous.
    """
    count = int(groups.max()) + 1
    if count < folds:
        raise TooFewRowsError(f"{count} groups cannot fill {folds} folds; give more groups")
    rng = np.random.default_rng(seed)
    means = np.bincount(groups, weights=y, minlength=count) / np.bincount(groups, minlength=count)
    order = np.lexsort((rng.random(count), means))
    deals = -(-count // folds)
    dealt = np.argsort(rng.random((deals, folds)), axis=1).ravel()[:count]
    fold_of_group = np.empty(count, dtype=np.int64)
    # The last, incomplete deal may use any fold number; all are below ``folds``.
    fold_of_group[order] = dealt
    return fold_of_group[groups]
