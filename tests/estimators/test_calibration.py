"""Calibration, folds and residual bands: rules that hold for any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression

from ml.estimators.calibration import Calibration
from ml.estimators.conformal import ResidualBands
from ml.estimators.folds import TooFewRowsError, group_codes, stratified_folds
from ml.estimators.isotonic import centred_isotonic
from ml.metrics import expected_calibration_error

margins = arrays(np.float64, st.integers(40, 400), elements=st.floats(-20, 20, width=32))


@settings(max_examples=60, deadline=None)
@given(margin=margins, seed=st.integers(0, 1000))
def test_calibration_never_changes_a_ranking(margin: np.ndarray, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, 2, len(margin))
    y[:2] = [0, 1]
    calibration = Calibration.fit(margin, y.astype(float))
    assert (np.diff(calibration.values) > 0).all()
    assert (np.diff(calibration.knots) > 0).all()
    found = calibration.probability(np.sort(margin))
    assert (np.diff(found) >= 0).all()
    assert ((found > 0) & (found < 1)).all()


def test_overconfident_chances_are_corrected() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-truth))).astype(float)
    calibration = Calibration.fit(3 * truth + 1, y)
    fresh = rng.normal(size=20_000)
    expected = 1 / (1 + np.exp(-fresh))
    assert np.abs(calibration.probability(3 * fresh + 1) - expected).mean() < 0.015


def test_a_bent_scale_is_straightened_where_there_are_rows_enough() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(-3, 3, size=20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-truth))).astype(float)
    bent = np.sign(truth) * truth**2
    found = Calibration.fit(bent, y).probability(bent)
    assert expected_calibration_error(y, found, 15) < 0.015


def test_small_data_gets_platts_line() -> None:
    rng = np.random.default_rng(2)
    margin = rng.normal(size=150)
    y = (rng.random(150) < 1 / (1 + np.exp(-2 * margin))).astype(float)
    found = Calibration.fit(margin, y)
    oracle = LogisticRegression(C=np.inf).fit(margin[:, None], y)
    assert len(found.knots) == 2
    slope = (found.values[1] - found.values[0]) / (found.knots[1] - found.knots[0])
    assert slope == pytest.approx(oracle.coef_[0, 0], rel=0.1)  # his targets are smoothed


def test_separable_outcomes_stay_short_of_certainty() -> None:
    margin = np.linspace(-5, 5, 60)
    found = Calibration.fit(margin, (margin > 0).astype(float)).probability(margin)
    assert found.min() > 0
    assert found.max() < 1
    assert np.isfinite(found).all()


def test_a_reversed_ranking_gives_the_base_rate() -> None:
    margin = np.linspace(-2, 2, 200)
    found = Calibration.fit(margin, (margin < 0).astype(float)).probability(margin)
    np.testing.assert_allclose(found, 0.5, atol=0.05)


@settings(max_examples=60, deadline=None)
@given(x=margins, seed=st.integers(0, 1000), bins=st.integers(1, 30))
def test_centred_isotonic_increases_and_keeps_the_mean(x: np.ndarray, seed: int, bins: int) -> None:
    y = np.random.default_rng(seed).normal(size=len(x))
    knots, means = centred_isotonic(x, y, np.ones(len(x)), bins)
    assert (np.diff(knots) > 0).all()
    assert (np.diff(means) >= 0).all()
    assert means.min() >= y.min() - 1e-9
    assert means.max() <= y.max() + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 60), min_size=150, max_size=300),
    folds=st.integers(2, 5),
    seed=st.integers(0, 50),
)
def test_folds_keep_groups_whole_and_are_never_empty(
    groups: list[int], folds: int, seed: int
) -> None:
    codes = group_codes(groups, len(groups))
    y = np.random.default_rng(seed).normal(size=len(groups))
    if codes.max() + 1 < folds:
        return
    fold = stratified_folds(y, codes, folds, seed)
    assert set(fold) == set(range(folds))
    for group in set(groups):
        assert len(set(fold[np.array(groups) == group])) == 1


def test_folds_share_the_rare_outcome_evenly() -> None:
    y = (np.arange(1000) < 25).astype(float)
    fold = stratified_folds(y, np.arange(1000), 5, seed=0)
    assert [int(y[fold == k].sum()) for k in range(5)] == [5] * 5


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(TooFewRowsError, match="3 groups"):
        stratified_folds(np.zeros(30), np.arange(30) % 3, 5, seed=0)
    with pytest.raises(ValueError, match="2 values for 3 rows"):
        group_codes(["a", "b"], 3)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.5, 0.9, 0.975])
def test_bands_hold_their_level_whatever_the_difficulty(level: float) -> None:
    rng = np.random.default_rng(3)
    difficulty = rng.lognormal(size=20_000)
    bands = ResidualBands.fit(difficulty * rng.gamma(2, size=20_000), difficulty)
    fresh = rng.lognormal(size=20_000)
    below = fresh * rng.gamma(2, size=20_000) <= bands.quantile(fresh, level)
    for part in np.array_split(np.argsort(fresh), 4):
        assert below[part].mean() == pytest.approx(level, abs=0.03)


def test_few_residuals_give_their_extremes_and_no_more() -> None:
    bands = ResidualBands.fit(np.array([-1.0, 0.0, 2.0]), np.ones(3))
    assert bands.quantile(np.ones(1), 0.001)[0] == -1.0
    assert bands.quantile(np.ones(1), 0.999)[0] == 2.0
    assert bands.quantile(np.ones(1), 0.5)[0] == pytest.approx(0.0, abs=1e-12)
