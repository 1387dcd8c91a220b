"""MarginRegressor: an unbiased mean in money, intervals that hold, reasons that add up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from ml.estimators.folds import TooFewRowsError
from ml.estimators.profitability import MarginRegressor
from ml.estimators.tabular import ColumnMismatchError
from ml.estimators.tabular_model import NotFittedError


def clients(rows: int = 1500, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Features, heavy-tailed margins of either sign with many zeros, and their true means."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "margin_90d": rng.lognormal(5, 1, rows),
            "active": rng.random(rows) < 0.7,
            "segment": pd.Series(rng.choice(["small", "large"], rows), dtype="str"),
            "noise": rng.normal(size=rows),
        }
    )
    size = X["margin_90d"] * np.where(X["segment"] == "large", 1.2, 0.8)
    buys = np.where(X["active"], 0.8, 0.2)
    drawn = (rng.random(rows) < buys) * size * rng.gamma(4, 0.25, rows) - 0.05 * size
    return X, drawn.to_numpy(), (buys * size - 0.05 * size).to_numpy()


@pytest.fixture(scope="module")
def fitted() -> MarginRegressor:
    X, y, _ = clients(3000)
    return MarginRegressor().fit(X, y)


def test_predictions_follow_the_planted_means(fitted: MarginRegressor) -> None:
    X, _, mean = clients(4000, seed=1)
    found = fitted.predict(X)
    assert spearmanr(found, mean).statistic > 0.95
    assert 1 - ((mean - found) ** 2).sum() / ((mean - mean.mean()) ** 2).sum() > 0.65


def test_the_mean_is_unbiased_on_the_raw_scale(fitted: MarginRegressor) -> None:
    X, y, mean = clients(20_000, seed=2)
    assert fitted.predict(X).sum() == pytest.approx(mean.sum(), rel=0.06)
    assert fitted.predict(X).sum() == pytest.approx(y.sum(), rel=0.07)


def test_beats_the_last_period_in_rank_and_error(fitted: MarginRegressor) -> None:
    X, y, _ = clients(4000, seed=3)
    ours, naive = fitted.predict(X), X["margin_90d"].to_numpy()
    assert spearmanr(ours, y).statistic > spearmanr(naive, y).statistic + 0.05
    assert np.abs(ours - y).mean() < np.abs(naive - y).mean()


def test_the_median_has_less_absolute_error_than_the_mean(fitted: MarginRegressor) -> None:
    X, y, _ = clients(4000, seed=4)
    median = fitted.predict_quantiles(X, (0.5,))[:, 0]
    assert np.abs(median - y).mean() <= np.abs(fitted.predict(X) - y).mean()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_what_they_promise(fitted: MarginRegressor, coverage: float) -> None:
    X, y, _ = clients(8000, seed=5)
    low, high = fitted.predict_interval(X, coverage).T
    assert ((y >= low) & (y <= high)).mean() == pytest.approx(coverage, abs=0.03)


def test_intervals_hold_for_small_and_large_clients_alike(fitted: MarginRegressor) -> None:
    X, y, _ = clients(8000, seed=6)
    low, high = fitted.predict_interval(X, 0.8).T
    inside = (y >= low) & (y <= high)
    for part in np.array_split(np.argsort(fitted.predict(X)), 4):
        assert inside[part].mean() == pytest.approx(0.8, abs=0.07)


def test_wider_coverage_never_narrows_an_interval(fitted: MarginRegressor) -> None:
    X, _, _ = clients(300, seed=7)
    narrow, wide = fitted.predict_interval(X, 0.5), fitted.predict_interval(X, 0.95)
    assert (wide[:, 0] <= narrow[:, 0]).all()
    assert (wide[:, 1] >= narrow[:, 1]).all()
    assert (narrow[:, 0] <= narrow[:, 1]).all()


def test_margins_never_below_zero_give_no_bound_below_zero() -> None:
    X, y, _ = clients(600, seed=8)
    model = MarginRegressor(max_rounds=40).fit(X, np.maximum(y, 0))
    assert model.predict_interval(X, 0.95).min() >= 0


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 80, float("nan")])
def test_impossible_coverage_is_refused(fitted: MarginRegressor, coverage: float) -> None:
    X, _, _ = clients(5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        fitted.predict_interval(X, coverage)


def test_contributions_and_base_add_up_to_the_prediction(fitted: MarginRegressor) -> None:
    X, _, _ = clients(300, seed=9)
    moves, base = fitted.explain(X)
    np.testing.assert_allclose(moves.sum(axis=1) + base, fitted.predict(X), rtol=1e-9, atol=1e-6)


def test_reasons_name_what_was_planted(fitted: MarginRegressor) -> None:
    X, _, _ = clients(200, seed=10)
    reasons = fitted.reasons(X, top=2)
    named = {reason["feature"] for row in reasons for reason in row}
    assert "noise" not in named or fitted.feature_importance_.index[-1] == "noise"
    assert fitted.feature_importance_.index[0] == "margin_90d"
    assert all(len(row) == 2 for row in reasons)
    json.dumps(reasons, allow_nan=False)


def test_scale_of_the_currency_does_not_matter() -> None:
    X, y, _ = clients(600, seed=11)
    one = MarginRegressor(max_rounds=30).fit(X, y).predict(X)
    thousand = MarginRegressor(max_rounds=30).fit(X, y * 1024).predict(X)
    np.testing.assert_allclose(thousand, one * 1024, rtol=1e-6)


def test_the_same_fit_twice_is_the_same_bit_for_bit() -> None:
    X, y, _ = clients(600, seed=12)
    first, second = (MarginRegressor(max_rounds=30).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    np.testing.assert_array_equal(first.predict_interval(X), second.predict_interval(X))


def test_column_order_changes_neither_fit_nor_prediction(fitted: MarginRegressor) -> None:
    X, y, _ = clients(3000)
    turned = X[X.columns[::-1]]
    np.testing.assert_array_equal(fitted.predict(turned), fitted.predict(X))
    refitted = MarginRegressor().fit(turned, y)
    np.testing.assert_array_equal(refitted.predict(X), fitted.predict(X))


def test_a_loaded_model_answers_bit_for_bit(fitted: MarginRegressor, tmp_path: Path) -> None:
    X, _, _ = clients(300, seed=13)
    fitted.save(tmp_path)
    loaded = MarginRegressor.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(loaded.predict_interval(X, 0.7), fitted.predict_interval(X, 0.7))
    assert loaded.reasons(X) == fitted.reasons(X)


def test_shuffled_margins_are_not_learned() -> None:
    X, y, _ = clients(1500, seed=14)
    shuffled = np.random.default_rng(14).permutation(y)
    model = MarginRegressor(max_rounds=60).fit(X, shuffled)
    assert abs(spearmanr(model.out_of_fold_, shuffled).statistic) < 0.1


def test_missing_column_is_refused_by_name(fitted: MarginRegressor) -> None:
    X, _, _ = clients(5)
    with pytest.raises(ColumnMismatchError, match="segment"):
        fitted.predict(X.drop(columns="segment"))


def test_unseen_categories_and_extremes_get_finite_answers(fitted: MarginRegressor) -> None:
    X, _, _ = clients(20)
    odd = X.assign(segment="galactic", margin_90d=1e12)
    assert np.isfinite(fitted.predict(odd)).all()
    assert np.isfinite(fitted.predict_interval(odd, 0.99)).all()
    assert np.isfinite(fitted.predict(X.assign(margin_90d=np.inf))).all()


def test_all_missing_columns_and_a_constant_margin_are_fine() -> None:
    X, _, _ = clients(200, seed=15)
    flat = MarginRegressor(max_rounds=20).fit(X.assign(empty=None, gone=np.nan), np.full(200, 7.0))
    np.testing.assert_allclose(flat.predict(X.assign(empty=None, gone=np.nan)), 7.0, rtol=0.01)
    zero = MarginRegressor(max_rounds=20).fit(X, np.zeros(200))
    np.testing.assert_allclose(zero.predict(X), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(100, np.inf), "infinite"),
        (np.where(np.arange(100) < 7, np.nan, 1.0), "7 missing"),
        (np.zeros(3), "shape"),
    ],
)
def test_outcomes_that_are_no_money_are_refused(y: np.ndarray, message: str) -> None:
    X, _, _ = clients(100)
    with pytest.raises(ValueError, match=message):
        MarginRegressor().fit(X, y)


def test_too_few_rows_are_refused() -> None:
    X, y, _ = clients(20)
    with pytest.raises(TooFewRowsError, match="20 rows"):
        MarginRegressor().fit(X, y)


def test_negative_weights_are_refused() -> None:
    X, y, _ = clients(100)
    with pytest.raises(ValueError, match="sample_weight"):
        MarginRegressor().fit(X, y, sample_weight=-np.ones(100))


def test_asking_before_fitting_says_what_to_do() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        MarginRegressor().predict(pd.DataFrame({"a": [1]}))


@pytest.mark.long
def test_open_data_figures_hold(example_data: Path) -> None:
    from ml.evaluation.profitability import evaluate

    results = evaluate(example_data)
    assert [str(result) for result in results if not result.holds] == []
