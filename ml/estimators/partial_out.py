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
_DENSE, _CELLS = 400, 5_000_000  # levels solved for directly, and cells of their table, at most
_LEAST_FREE = 0.2  # a row alone in its effect has no error left, whatever it is divided by


def demean(columns: Floats, effects: Sequence[Ints], weights: Floats) -> Floats:
    """Columns (rows, k) less the weighted means of every effect (codes from 0), all at once.

    The effect with the most levels is absorbed and the others solved for, where that is small
    enough; else alternating projections until nothing moves by more than 1e-10 of a deviation.
    """
    result = np.array(columns, dtype=np.float64)
    if not effects:
        return result
    levels = [int(codes.max(initial=-1)) + 1 for codes in effects]
    largest = int(np.argmax(levels))
    rest = [codes for at, codes in enumerate(effects) if at != largest]
    dense = sum(levels) - levels[largest]
    if dense <= _DENSE and dense * levels[largest] <= _CELLS:
        return _absorbed(result, effects[largest], rest, weights)
    return _alternating(result, effects, weights)


def _absorbed(columns: Floats, absorbed: Ints, rest: Sequence[Ints], weights: Floats) -> Floats:
    """Exactly, by the normal equations of the smaller effects within the absorbed one."""
    totals = np.bincount(absorbed, weights=weights)
    inverse = 1.0 / np.maximum(totals, 1e-300)

    def within(values: Floats) -> Floats:
        return values - (inverse[:, None] * _sums(absorbed, len(totals), weights, values))[absorbed]

    if not rest:
        return within(columns)
    sizes = [int(codes.max()) + 1 for codes in rest]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    placed = [codes + start for codes, start in zip(rest, starts, strict=True)]
    count = int(sum(sizes))
    cross = np.zeros((len(totals), count))
    gram = np.zeros((count, count))
    for one in placed:
        np.add.at(cross, (absorbed, one), weights)
        for other in placed:
            np.add.at(gram, (one, other), weights)
    gram -= cross.T @ (inverse[:, None] * cross)
    inside = within(columns)
    right = sum(_sums(one, count, weights, inside) for one in placed)
    # Levels are only known up to a constant each, hence the pseudo-inverse.
    beta = np.linalg.pinv(gram, rcond=1e-11, hermitian=True) @ right
    explained = np.asarray(sum(beta[one] for one in placed))
    return within(columns - explained)


def _sums(codes: Ints, count: int, weights: Floats, values: Floats) -> Floats:
    """Weighted sums of the columns by code, (count, k)."""
    weighted = weights[:, None] * values
    return np.column_stack(
        [np.bincount(codes, weights=column, minlength=count) for column in weighted.T]
    )


def _alternating(result: Floats, effects: Sequence[Ints], weights: Floats) -> Floats:
    totals = [np.bincount(codes, weights=weights) for codes in effects]
    limits = 1e-10 * (result.std(axis=0) + 1e-300)
    for _ in range(_ROUNDS):
        moved = np.zeros(result.shape[1])
        for codes, total in zip(effects, totals, strict=True):
            means = _sums(codes, len(total), weights, result) / np.maximum(total, 1e-300)[:, None]
            result -= means[codes]
            moved = np.maximum(moved, np.abs(means).max(axis=0))
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
