"""The metrics of ``ml.metrics`` against scikit-learn's and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import brier_score_loss, mean_absolute_error, roc_auc_score

from ml.metrics import auc, brier, expected_calibration_error, mae, spearman

coarse = st.integers(0, 20).map(lambda twentieths: twentieths / 20)  # ties are likely
judged = st.lists(st.tuples(st.booleans(), coarse), min_size=2, max_size=60)


@given(judged)
def test_auc_and_brier_equal_scikit_learns(rows: list[tuple[bool, float]]) -> None:
    outcome, chance = np.array(rows, dtype=float).T
    assert brier(outcome, chance) == pytest.approx(brier_score_loss(outcome, chance, pos_label=1))
    if 0 < outcome.sum() < len(outcome):
        assert auc(outcome, chance) == pytest.approx(roc_auc_score(outcome, chance))
    else:
        assert np.isnan(auc(outcome, chance))


@given(st.lists(st.tuples(coarse, coarse), min_size=3, max_size=60))
def test_rank_correlation_and_absolute_error_equal_the_libraries(
    rows: list[tuple[float, float]],
) -> None:
    seen, said = np.array(rows).T
    assert mae(seen, said) == pytest.approx(mean_absolute_error(seen, said))
    if np.ptp(seen) and np.ptp(said):
        assert spearman(seen, said) == pytest.approx(spearmanr(seen, said).statistic)
    else:
        assert np.isnan(spearman(seen, said))


def test_a_score_that_is_missing_ranks_highest() -> None:
    """A client without a purchase has no recency; he is the likeliest to be gone."""
    assert auc(np.array([0.0, 1.0]), np.array([5.0, np.nan])) == 1.0


def test_calibration_error_by_hand() -> None:
    outcome = np.array([0, 0, 1, 1])
    chance = np.array([0.1, 0.3, 0.6, 0.8])
    error = expected_calibration_error(outcome, chance, bins=2)
    assert error == pytest.approx((0.2 + 0.3) / 2)
    assert expected_calibration_error(outcome, outcome.astype(float)) == 0
