"""Take out of some columns what controls explain: fixed effects of any size, and numbers.

Frisch-Waugh-Lovell: regressing what is left of y on what is left of x gives the slope that the
full regression has, without ever building a dummy for each of thousands of clients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROUNDS = 500
_LEAST_FREE = 0.2  # a row alone in its effect has no error left, whatever it is divided by


def demean(columns: Floats, effects: Sequence[Ints], weights: Floats) -> Floats:
    """Columns (rows, k) less the weighted means of every effect (codes from 0), all at once.

    Alternating projections until nothing moves by more than 1e-10 of a column's deviation.
    """
    result = np.array(columns, dtype=np.float64)
    if not effects:
        return result
    totals = [np.bincount(codes, weights=weights) for codes in effects]
    limits = 1e-10 * (result.std(axis=0) + 1e-300)
    for _ in range(_ROUNDS if len(effects) > 1 else 1):
        moved = np.zeros(result.shape[1])
        for codes, total in zip(effects, totals, strict=True):
            for column in range(result.shape[1]):
                sums = np.bincount(codes, weights=weights * result[:, column])
                means = sums / np.maximum(total, 1e-300)
                result[:, column] -= means[codes]
                moved[column] = max(moved[column], float(np.abs(means).max()))
        if (moved <= limits).all():
            break
    return result


def residuals(targets: Floats, numbers: Floats, effects: Sequence[Ints], weights: Floats) -> Floats:
    """Targets (rows, k) less what numbers (rows, p, may be 0 wide) and effects explain of them."""
    width = targets.shape[1]
    flat = demean(np.column_stack([targets, numbers]), effects, weights)
    left, right = flat[:, :width], flat[:, width:]
    if right.shape[1] == 0:
        return left
    root = np.sqrt(weights)[:, None]
    # lstsq, since numbers may be constant within the effects and then have nothing left.
    scale = np.sqrt((right**2).mean(axis=0))
    right = np.where(scale > 1e-9, right / np.maximum(scale, 1e-300), 0.0)
    slopes, *_ = np.linalg.lstsq(root * right, root * left, rcond=1e-9)
    return np.asarray(left - right @ slopes)


def robust_covariance(
    x: Floats, errors: Floats, weights: Floats, effects: Sequence[Ints], clusters: Ints | None
) -> Floats:
    """Covariance (k, k) of weighted least squares slopes, robust to unequal variances (HC3).

    Each error is divided by how much its row pulls the fit toward itself (its leverage, of the
    slopes and of the effects it belongs to): with thousands of small effects the plain sandwich
    is too narrow. With ``clusters`` (codes) also robust to any correlation within a cluster.
    """
    bread = np.linalg.pinv((x * weights[:, None]).T @ x)
    leverage = weights * np.einsum("ij,jk,ik->i", x, bread, x)
    for codes in effects:
        leverage += weights / np.bincount(codes, weights=weights)[codes]
    if len(effects) > 1:
        leverage -= (len(effects) - 1) * weights / weights.sum()
    scores = x * (weights * errors / np.maximum(1 - leverage, _LEAST_FREE))[:, None]
    if clusters is not None:
        count = int(clusters.max()) + 1
        scores = np.column_stack(
            [
                np.bincount(clusters, weights=scores[:, c], minlength=count)
                for c in range(x.shape[1])
            ]
        )
        scores *= np.sqrt(count / max(count - 1, 1))
    return np.asarray(bread @ (scores.T @ scores) @ bread)
