"""Partial pooling: many noisy slopes, each drawn toward what its relatives have (empirical Bayes).

slope = mean + effect of each level of each label + its own deviation; the variances of these come
from the slopes themselves by restricted maximum likelihood. A slope with little evidence leans on
its relatives, one with much evidence stands on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LEAST = 1e-4


@dataclass(frozen=True)
class Pooled:
    """Posterior of the slopes: mean and deviation (groups,), and of their common mean."""

    mean: Floats
    deviation: Floats
    centre: float
    centre_deviation: float
    variances: tuple[float, ...]


def pool(slopes: Floats, covariance: Floats, labels: Sequence[Ints]) -> Pooled:
    """Posterior of slopes (groups,) with sampling covariance (groups, groups).

    ``labels`` holds codes (groups,) for each kind of relation, for instance service and segment.
    """
    groups = len(slopes)
    if groups == 1:
        deviation = np.sqrt(np.diag(covariance))
        return Pooled(slopes, deviation, float(slopes[0]), float(deviation[0]), ())
    relations = [
        (codes[:, None] == codes[None, :]).astype(np.float64)
        for codes in labels
        if 1 < len(set(codes.tolist())) < groups
    ] + [np.eye(groups)]
    variances = _reml(slopes, covariance, relations)
    between = sum(
        (v * r for v, r in zip(variances, relations, strict=True)), np.zeros_like(relations[0])
    )
    total = np.linalg.inv(covariance + between)
    ones = np.ones(groups)
    centre_variance = 1 / float(ones @ total @ ones)
    centre = centre_variance * float(ones @ total @ slopes)
    gain = between @ total
    mean = centre + gain @ (slopes - centre)
    # Second term: the common mean is itself estimated.
    rest = ones - gain @ ones
    posterior = between - gain @ between + centre_variance * np.outer(rest, rest)
    deviation = np.sqrt(np.maximum(np.diag(posterior), 0.0))
    return Pooled(mean, deviation, centre, float(np.sqrt(centre_variance)), tuple(variances))


def _reml(slopes: Floats, covariance: Floats, relations: Sequence[Floats]) -> Floats:
    from scipy.optimize import minimize

    ones = np.ones(len(slopes))

    def loss(logs: Floats) -> float:
        matrix = covariance.copy()
        for log, relation in zip(logs, relations, strict=True):
            matrix = matrix + np.exp(log) * relation
        factor = np.linalg.cholesky(matrix)
        whitened = np.linalg.solve(factor, np.column_stack([slopes, ones]))
        weight = float(whitened[:, 1] @ whitened[:, 1])
        centred = whitened[:, 0] - whitened[:, 1] * (whitened[:, 0] @ whitened[:, 1]) / weight
        fit = 2 * np.log(np.diag(factor)).sum() + np.log(weight) + float(centred @ centred)
        # A weak prior (deviations around 0.4) keeps a variance off zero, which would say that all
        # slopes are equal on the word of a handful of them.
        return float(fit + 0.5 * (((logs - np.log(0.15)) / 1.5) ** 2).sum())

    start = np.full(len(relations), np.log(0.1))
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(np.log(_LEAST), 4.0)] * len(start))
    return np.asarray(np.exp(found.x))
