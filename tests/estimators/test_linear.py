"""The ridge model under the trees: a row alone and among others, and steps that could run away."""

from __future__ import annotations

import numpy as np
import pytest

from ml.estimators.linear import fit_linear

WINDOWS = (7, 30, 60, 90, 180, 365)


def nearly_told_by_recency(seed: int, rows: int = 1300) -> tuple[np.ndarray, np.ndarray]:
    """Clients of whom silence tells almost surely who is gone, in columns that say the same."""
    rng = np.random.default_rng(seed)
    gone = np.sort(rng.integers(0, 360, rows) * (rng.random(rows) < 0.1))
    recency = np.where(gone > 0, gone, rng.integers(0, 40, rows)).astype(float)
    outcome = (recency > 45).astype(float)
    wrong = rng.random(rows) < 0.002
    outcome[wrong] = 1 - outcome[wrong]
    bought = [np.maximum(0, days - recency) / 30 for days in WINDOWS]
    columns = [
        recency,
        *(amount * (1 + 0.1 * rng.normal(size=rows)) for amount in bought),
        *(np.round(amount) for amount in bought),
        recency / rng.integers(20, 45, rows),
    ]
    return np.column_stack(columns), outcome


@pytest.mark.parametrize("seed", [15, 34, 35, 37, 38])
def test_a_nearly_separable_outcome_does_not_send_the_intercept_off(seed: int) -> None:
    matrix, outcome = nearly_told_by_recency(seed)
    part = fit_linear(matrix, outcome, sizes={}, logistic=True, curved=True, penalty=10.0)
    odds = part.predict(matrix)
    # At the optimum a free intercept makes the mean chance that of the outcome.
    assert np.mean(1 / (1 + np.exp(-odds))) == pytest.approx(outcome.mean(), abs=1e-6)
    assert np.abs(odds).max() < 50


@pytest.mark.parametrize("curved", [True, False])
def test_a_row_alone_has_the_bits_it_has_among_others(curved: bool) -> None:
    rng = np.random.default_rng(3)
    matrix = rng.lognormal(sigma=3.0, size=(500, 71)) * rng.choice([-1.0, 1.0], (500, 71))
    matrix[:, 4] = rng.integers(0, 5, 500)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    y = np.nan_to_num(matrix[:, 0]) + np.nan_to_num(matrix[:, 4])
    part = fit_linear(matrix, y, sizes={4: 5}, logistic=False, curved=curved, penalty=1.0)
    among = part.predict(matrix)
    for at in range(len(matrix)):
        assert part.predict(matrix[at : at + 1])[0] == among[at]
