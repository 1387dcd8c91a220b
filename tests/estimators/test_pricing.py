"""Price response: planted truth, thin evidence, guardrails, open data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.partial_out import residuals
from ml.estimators.price_choice import Elasticity, Guardrails, choose
from ml.estimators.pricing import PriceResponse
from ml.estimators.shrinkage import pool


def _market(
    seed: int, elasticity: dict[str, float], weeks: int = 150
) -> tuple[pd.DataFrame, pd.Series]:
    """Prices that follow demand: the naive slope is far from the truth."""
    rng = np.random.default_rng(seed)
    parts = []
    for product, slope in elasticity.items():
        season = 0.5 * np.sin(2 * np.pi * np.arange(weeks) / 52)
        log_price = 1.0 + 0.4 * season + 0.1 * rng.standard_normal(weeks)
        log_quantity = 4 + slope * log_price + 1.5 * season + 0.2 * rng.standard_normal(weeks)
        parts.append(
            pd.DataFrame(
                {
                    "product": product,
                    "price": np.exp(log_price),
                    "quantity": np.exp(log_quantity),
                    "season": season,
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame, frame["quantity"]


def test_controls_give_the_true_slope_where_price_follows_demand() -> None:
    frame, quantity = _market(3, {"a": -1.8})
    naive = PriceResponse().fit(frame["price"], quantity).elasticity_
    model = PriceResponse().fit(frame["price"], quantity, frame[["season"]])
    low, high = model.elasticity_interval_
    assert abs(naive + 1.8) > 0.5
    assert abs(model.elasticity_ + 1.8) < 0.25
    assert low < model.elasticity_ < high


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    inside = []
    for seed in range(60):
        frame, quantity = _market(seed, {"a": -1.2}, weeks=80)
        model = PriceResponse().fit(frame["price"], quantity, frame[["season"]])
        low, high = model.elasticity_interval_
        inside.append(low <= -1.2 <= high)
    assert 0.7 <= np.mean(inside) <= 0.97


def test_slope_equals_least_squares_with_all_dummies() -> None:
    rng = np.random.default_rng(0)
    rows = 300
    firm, month = rng.integers(0, 20, rows), rng.integers(0, 12, rows)
    x = rng.standard_normal(rows) + 0.1 * firm
    y = -1.5 * x + 0.3 * firm - 0.2 * month + rng.standard_normal(rows)
    weights = rng.uniform(0.5, 2.0, rows)
    left = residuals(np.column_stack([y, x]), np.empty((rows, 0)), [firm, month], weights)
    slope = (weights * left[:, 1]) @ left[:, 0] / ((weights * left[:, 1]) @ left[:, 1])
    dummies = np.column_stack([x, np.eye(20)[firm], np.eye(12)[month]])
    root = np.sqrt(weights)
    expected, *_ = np.linalg.lstsq(dummies * root[:, None], y * root, rcond=None)
    assert slope == pytest.approx(expected[0], rel=1e-7)


def test_groups_lean_on_their_relatives_where_they_know_little() -> None:
    slopes = np.array([-1.0, -1.1, -0.9, -1.05, -4.0])
    errors = np.array([0.05, 0.05, 0.05, 0.05, 1.5])
    pooled = pool(slopes, np.diag(errors**2), [np.arange(5)])
    assert abs(pooled.mean[4] + 1.0) < 1.0
    assert pooled.deviation[4] < errors[4]
    assert np.abs(pooled.mean[:4] - slopes[:4]).max() < 0.05


def test_each_group_has_its_own_elasticity() -> None:
    truth = {"a": -0.7, "b": -1.5, "c": -2.4}
    frame, quantity = _market(1, truth)
    model = PriceResponse().fit(frame["price"], quantity, frame[["season"]], frame["product"])
    assert list(model.elasticity_.index) == ["a", "b", "c"]
    assert np.abs(model.elasticity_ - pd.Series(truth)).max() < 0.35
    assert (model.evidence_["status"] == "ok").all()


def test_shuffled_quantities_are_refused() -> None:
    refused = 0
    for seed in range(10):
        frame, quantity = _market(seed, {"a": -1.5})
        shuffled = np.random.default_rng(seed).permutation(quantity)
        model = PriceResponse().fit(frame["price"], shuffled, frame[["season"]])
        refused += model.evidence_["status"].iloc[0] == "thin_evidence"
    assert refused >= 8


def test_a_price_that_never_moves_is_refused_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    model = PriceResponse().fit(np.full(100, 5.0), rng.lognormal(size=100))
    advice = model.recommend(5.0, 3.0)
    assert advice.status == "thin_evidence"
    assert advice.recommended_price is None
    assert "hardly changes" in advice.reason
    with pytest.raises(ValueError, match="hardly changes"):
        model.curve([4.0, 5.0], current_price=5.0)


def test_few_purchases_are_refused_with_the_reason() -> None:
    frame, quantity = _market(0, {"a": -1.5}, weeks=10)
    model = PriceResponse().fit(frame["price"], quantity)
    assert "only 10 purchases" in model.evidence_["reason"].iloc[0]


def test_rows_without_quantity_are_left_out_and_counted() -> None:
    frame, quantity = _market(0, {"a": -1.5})
    with_zeros = quantity.copy()
    with_zeros.iloc[:7] = 0.0
    model = PriceResponse().fit(frame["price"], with_zeros, frame[["season"]])
    without = PriceResponse().fit(frame["price"][7:], quantity[7:], frame[["season"]][7:])
    assert model.left_out_ == 7
    assert model.elasticity_ == pytest.approx(without.elasticity_)


def test_one_absurd_quantity_hardly_moves_the_slope() -> None:
    frame, quantity = _market(0, {"a": -1.5})
    typo = quantity.copy()
    typo.iloc[int(np.argmax(frame["price"]))] *= 100
    before = PriceResponse().fit(frame["price"], quantity, frame[["season"]]).elasticity_
    after = PriceResponse().fit(frame["price"], typo, frame[["season"]]).elasticity_
    assert abs(before - after) < 0.2


def test_unit_of_quantity_does_not_matter() -> None:
    frame, quantity = _market(0, {"a": -1.5})
    one = PriceResponse().fit(frame["price"], quantity, frame[["season"]])
    other = PriceResponse().fit(frame["price"] * 100, quantity / 1000, frame[["season"]])
    assert one.elasticity_ == pytest.approx(other.elasticity_, abs=1e-9)


def test_curve_falls_and_contains_the_reference() -> None:
    frame, quantity = _market(2, {"a": -1.5})
    model = PriceResponse().fit(frame["price"], quantity, frame[["season"]])
    table = model.curve(
        [8.0, 9.0, 10.0, 11.0], current_price=10.0, current_quantity=50.0, unit_cost=6.0
    )
    assert table["expected_quantity"].is_monotonic_decreasing
    assert table["expected_quantity"][2] == 50.0
    assert table["margin"][2] == pytest.approx(50.0 * 4.0)
    assert (table["low"] <= table["expected_quantity"]).all()
    assert (table["expected_quantity"] <= table["high"]).all()


@given(
    value=st.floats(-4.0, -0.2),
    error=st.floats(0.01, 0.5),
    current=st.floats(1.0, 1e4),
    cost=st.floats(0.0, 1.2),
    change=st.floats(0.01, 0.5),
)
@settings(max_examples=80, deadline=None)
def test_recommended_price_keeps_to_the_guardrails(
    value: float, error: float, current: float, cost: float, change: float
) -> None:
    elasticity = Elasticity(value, value - error, value + error, 0.8)
    advice = choose(current, elasticity, Guardrails(change, None, None, cost * current), 10.0)
    if cost > 1 + change:
        assert advice.status == "thin_evidence"
        return
    if advice.recommended_price is None:
        return
    assert advice.recommended_price >= cost * current - 1e-9
    assert abs(advice.recommended_price / current - 1) <= change + 1e-9
    if cost <= 1:
        assert advice.expected_margin_change is not None
        assert advice.expected_margin_change >= 0


def test_best_price_is_the_textbook_markup() -> None:
    certain = Elasticity(-3.0, -3.001, -2.999, 0.8)
    advice = choose(20.0, certain, Guardrails(0.9, None, None, 10.0), 1.0)
    assert advice.recommended_price == pytest.approx(10.0 * 3 / 2, abs=0.05)


def test_price_response_is_the_same_after_load(tmp_path: Path) -> None:
    frame, quantity = _market(1, {"a": -0.7, "b": -1.5})
    model = PriceResponse().fit(frame["price"], quantity, frame[["season"]], frame["product"])
    model.save(tmp_path)
    again = PriceResponse.load(tmp_path)
    pd.testing.assert_frame_equal(again.table_, model.table_, check_exact=True)
    assert again.recommend(3.0, 2.0, "b") == model.recommend(3.0, 2.0, "b")


def test_bad_input_is_refused_by_name() -> None:
    frame, quantity = _market(0, {"a": -1.5})
    with pytest.raises(ValueError, match="quantity has 3 rows, price has 150"):
        PriceResponse().fit(frame["price"], quantity[:3])
    with pytest.raises(ValueError, match="positive price and quantity"):
        PriceResponse().fit([0.0, -1.0], [1.0, 1.0])
    model = PriceResponse().fit(frame["price"], quantity, frame[["season"]])
    with pytest.raises(KeyError, match="not fitted"):
        model.recommend(3.0, 2.0, "other")
    with pytest.raises(ValueError, match="max_change"):
        model.recommend(3.0, 2.0, max_change=0.0)


def test_score_on_later_rows_shows_what_the_price_explains() -> None:
    frame, quantity = _market(4, {"a": -1.5, "b": -2.0}, weeks=200)
    early = frame.index % 200 < 140
    controls, groups = frame[["season"]], frame["product"]
    model = PriceResponse().fit(
        frame["price"][early], quantity[early], controls[early], groups[early]
    )
    score = model.score_on(
        frame["price"][~early], quantity[~early], controls[~early], groups[~early]
    )
    assert score["squared_error"] < 0.8 * score["squared_error_without_price"]


@pytest.mark.long
def test_open_data_figures_hold(example_data: Path) -> None:
    from ml.evaluation.pricing import evaluate

    results = evaluate(example_data)
    assert len(results) == 5
    assert all(result.holds for result in results), [r for r in results if not r.holds]


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    from ml.evaluation.pricing import evaluate

    with pytest.raises(FileNotFoundError, match="dominicks_oj"):
        evaluate(tmp_path)
