"""Metrics that several models report. A test holds them against scikit-learn's and SciPy's."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half; NaN where only one class is there."""
    positive = outcome > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(np.nan_to_num(score, nan=np.inf))
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def brier(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean squared error of a probability."""
    return float(np.mean((outcome - probability) ** 2))


def expected_calibration_error(
    outcome: np.ndarray, probability: np.ndarray, bins: int = 10
) -> float:
    """Mean distance of stated and seen frequency over ``bins`` bins of equal size.

    ``outcome`` holds 0 or 1, ``probability`` values in [0, 1], both of shape (rows,).
    """
    order = np.argsort(probability, kind="stable")
    gaps = [
        len(rows) * abs(float(outcome[rows].mean()) - float(probability[rows].mean()))
        for rows in np.array_split(order, min(bins, len(order)))
    ]
    return sum(gaps) / len(order)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; NaN where one side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def mae(outcome: np.ndarray, expected: np.ndarray) -> float:
    """Mean absolute error, in the outcome's unit."""
    return float(np.mean(np.abs(outcome - expected)))
