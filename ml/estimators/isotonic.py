"""A strictly increasing line through noisy bins: centred isotonic regression.

Pools adjacent violators and keeps one knot a pool, at its centre (Oron and Flournoy 2017), so the
line has no flat steps and never changes a ranking.
"""

from __future__ import annotations

import numpy as np

_LEAST_STEP = 1e-4


def centred_isotonic(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    bins: int,
    prior: np.ndarray | None = None,
    prior_rows: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Knots and increasing means of ``y`` over ``bins`` equal shares of ``x``, all (rows,).

    Each bin's mean is shrunk to the mean of ``prior`` as if that were ``prior_rows`` more rows.
    """
    prior = np.zeros(len(x)) if prior is None else prior
    pools: list[tuple[float, float, float]] = []  # centre, mean, rows
    for rows in np.array_split(np.argsort(x, kind="stable"), bins):
        mass = float(weight[rows].sum())
        if mass <= 0:
            continue
        center = float(weight[rows] @ x[rows]) / mass
        expected = float(weight[rows] @ prior[rows]) / mass
        total = float(weight[rows] @ y[rows]) + prior_rows * expected
        pools.append((center, total / (mass + prior_rows), mass))
        while len(pools) > 1 and pools[-2][1] >= pools[-1][1]:
            (c1, v1, m1), (c2, v2, m2) = pools[-2:]
            both = m1 + m2
            pools[-2:] = [((c1 * m1 + c2 * m2) / both, (v1 * m1 + v2 * m2) / both, both)]
    centers, kept = np.unique(np.array([pool[0] for pool in pools]), return_index=True)
    return centers, np.array([pools[i][1] for i in kept])


def strictly(values: np.ndarray) -> np.ndarray:
    """Increasing values, each at least a small step above the one before."""
    steps = _LEAST_STEP * np.arange(len(values))
    return np.maximum.accumulate(values) + steps
