"""Media mix: recovers planted contributions, splits exactly, never worse than the current mix."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.allocation import InfeasibleBudgetError, bounds_in_cents, split
from ml.estimators.budget import MediaMix
from ml.estimators.media_curves import FAMILIES, carry_over, saturate, slope

_SWEEPS = 900


def _firm(
    seed: int, weeks: int = 180, noise: float = 20.0
) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]:
    """A firm of another form than the model: power curves, carry-over over 8 weeks."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2022-01-03", periods=weeks, freq="W-MON")
    market = np.cumsum(rng.normal(0, 0.3, weeks))
    spend, effects = {}, {}
    for name, usual, factor, tail in (("search", 100.0, 20.0, 0.2), ("tv", 300.0, 10.0, 0.6)):
        flight = np.repeat(rng.choice([0.05, 1.0, 2.0], weeks // 4 + 1), 4)[:weeks]
        money = usual * flight * np.exp(0.3 * rng.standard_normal(weeks) + 0.1 * market)
        kernel = tail ** np.arange(8)
        carried = np.convolve(money, kernel / kernel.sum())[:weeks]
        spend[name] = money
        effects[name] = factor * carried**0.6
    base = 1000 + 1.5 * np.arange(weeks) + 80 * np.sin(2 * np.pi * np.arange(weeks) / 52)
    outcome = base + 60 * market + sum(effects.values()) + rng.normal(0, noise, weeks)
    totals = pd.Series({name: float(value.sum()) for name, value in effects.items()})
    return (
        pd.DataFrame(spend, index=index),
        pd.Series(outcome, index=index),
        pd.DataFrame({"market": market}, index=index),
        totals,
    )


@pytest.fixture(scope="module")
def fitted() -> MediaMix:
    spend, outcome, controls, _ = _firm(1)
    return MediaMix(sweeps=_SWEEPS).fit(spend, outcome, controls)


@pytest.mark.parametrize("seed", [1, 2])
def test_contributions_of_another_functional_form_are_recovered(seed: int) -> None:
    spend, outcome, controls, truth = _firm(seed)
    model = MediaMix(sweeps=_SWEEPS).fit(spend, outcome, controls)
    found = model.contributions_["total"]
    assert (abs(found / truth - 1) < 0.3).all()
    assert (model.evidence_ == "ok").all()
    by_period = model.contributions_by_period_.sum()
    pd.testing.assert_series_equal(by_period, found, check_names=False)


def test_leaving_a_driver_of_both_out_misleads_and_having_it_helps() -> None:
    rng = np.random.default_rng(0)
    index = pd.date_range("2022-01-03", periods=180, freq="W-MON")
    driver = rng.gamma(2.0, 0.5, 180)
    spend = pd.DataFrame({"tv": 50 + 80 * driver + 15 * rng.random(180)}, index=index)
    outcome = pd.Series(500 + 2.0 * spend["tv"] + 300 * driver, index=index)
    outcome += rng.normal(0, 10, 180)
    truth = float(2.0 * spend["tv"].sum())
    found = [
        MediaMix(sweeps=_SWEEPS).fit(spend, outcome, c).contributions_.loc["tv", "total"]
        for c in (pd.DataFrame({"driver": driver}, index=index), None)
    ]
    assert abs(found[0] / truth - 1) < 0.35
    assert found[1] / truth - 1 > 0.8


def test_intervals_contain_the_estimate_and_widen_with_noise() -> None:
    widths = []
    for noise in (10.0, 150.0):
        spend, outcome, controls, _ = _firm(1, noise=noise)
        table = MediaMix(sweeps=_SWEEPS).fit(spend, outcome, controls).contributions_
        assert (table["low"] <= table["total"]).all()
        assert (table["total"] <= table["high"]).all()
        widths.append(float((table["high"] - table["low"]).sum()))
    assert widths[1] > 1.5 * widths[0]


def test_shuffled_outcome_is_thin_evidence() -> None:
    spend, outcome, _, truth = _firm(1)
    shuffled = pd.Series(np.random.default_rng(0).permutation(outcome), index=outcome.index)
    model = MediaMix(sweeps=_SWEEPS).fit(spend, shuffled)
    assert model.contributions_["low"].sum() < 0.2 * truth.sum()
    assert model.evidence_.str.startswith("thin").any()


def test_later_periods_are_predicted_better_than_by_the_mean() -> None:
    spend, outcome, controls, _ = _firm(2)
    model = MediaMix(sweeps=_SWEEPS).fit(spend[:150], outcome[:150], controls[:150])
    predicted = model.predict(spend[150:], controls[150:])
    ours = float(((outcome[150:] - predicted) ** 2).mean())
    assert ours < float(((outcome[150:] - outcome[:150].mean()) ** 2).mean())
    assert predicted.index.equals(spend.index[150:])


def test_spend_of_fitted_periods_carries_over_into_the_prediction(fitted: MediaMix) -> None:
    spend, _, controls, _ = _firm(1)
    whole = fitted.predict(spend, controls)
    tail = fitted.predict(spend[100:], controls[100:])
    np.testing.assert_allclose(whole[100:], tail, rtol=1e-9)


def test_the_same_seed_gives_the_same_figures() -> None:
    spend, outcome, controls, _ = _firm(1, weeks=60)
    first, second = (
        MediaMix(sweeps=200).fit(spend, outcome, controls).contributions_ for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_channel_without_spend_brings_nothing() -> None:
    spend, outcome, controls, _ = _firm(1, weeks=60)
    model = MediaMix(sweeps=200).fit(spend.assign(radio=0.0), outcome, controls)
    assert model.contributions_.loc["radio", "total"] == 0.0
    assert model.evidence_["radio"] == "never spent"
    assert model.allocate(1000.0)["radio"] == 0.0


def test_marginal_return_is_the_slope_of_the_response(fitted: MediaMix) -> None:
    step = 1e-3
    table = fitted.response("tv", [200.0, 200.0 + step])
    numeric = (table["expected"][1] - table["expected"][0]) / step
    assert numeric == pytest.approx(table["marginal_return"][0], rel=1e-4)
    at = fitted.marginal_return({"search": 50.0, "tv": 200.0})
    assert at["tv"] == pytest.approx(table["marginal_return"][0])


money = st.integers(0, 10**9).map(lambda cents: cents / 100)


@given(total=money, periods=st.integers(1, 52), low=st.floats(0, 0.6), high=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_the_split_sums_exactly_and_keeps_to_its_bounds(
    fitted: MediaMix, total: float, periods: int, low: float, high: float
) -> None:
    least, most = round(low * total, 2), round(max(high, 0.05) * total, 2)
    bounds = {"search": (least, None), "tv": (0.0, most)}
    if least > total or least + 0.01 > total:
        return
    amounts = fitted.allocate(total, periods, bounds)
    cents = np.round(amounts * 100).astype(int)
    assert cents.sum() == round(total * 100)
    assert (amounts >= 0).all()
    assert amounts["search"] >= least - 1e-9
    assert amounts["tv"] <= most + 1e-9


@given(share=st.floats(0, 1), total=st.floats(100, 5000), periods=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_no_other_split_is_better_by_its_own_response(
    fitted: MediaMix, share: float, total: float, periods: int
) -> None:
    total = round(total * periods, 2)
    best = fitted.expected(fitted.allocate(total, periods), periods)
    other = fitted.expected({"search": share * total, "tv": (1 - share) * total}, periods)
    assert best >= other - 1e-6 * abs(other)


@given(
    factors=st.lists(st.floats(0.01, 100), min_size=2, max_size=5),
    total=st.integers(1, 10**7),
)
@settings(max_examples=60, deadline=None)
def test_split_equals_the_closed_form_of_square_roots(factors: list[float], total: int) -> None:
    """For responses a * sqrt(x) the best shares are a squared over their sum."""
    weights = np.array(factors)
    low, high = bounds_in_cents([str(c) for c in range(len(factors))], total, None)
    found = split(lambda x: weights / np.sqrt(np.maximum(x, 1e-12)), total, low, high)
    assert found.sum() == total
    np.testing.assert_allclose(found, total * weights**2 / (weights**2).sum(), atol=1.01, rtol=1e-6)


def test_impossible_bounds_say_what_to_change(fitted: MediaMix) -> None:
    with pytest.raises(InfeasibleBudgetError, match=r"sum to 120.00, above the total 100.00"):
        fitted.allocate(100.0, bounds={"tv": (120.0, None)})
    with pytest.raises(InfeasibleBudgetError, match="below the total"):
        fitted.allocate(100.0, bounds={"tv": (0, 10.0), "search": (0, 10.0)})
    with pytest.raises(InfeasibleBudgetError, match="lower is above the upper"):
        fitted.allocate(100.0, bounds={"tv": (20.0, 10.0)})
    with pytest.raises(ValueError, match=r"unknown channels \['radio'\]"):
        fitted.allocate(100.0, bounds={"radio": (0, 1.0)})
    with pytest.raises(ValueError, match="finer than a cent"):
        fitted.allocate(100.001)
    with pytest.raises(ValueError, match="expected an amount"):
        fitted.allocate(-5.0)


def test_gain_of_the_same_split_is_nothing(fitted: MediaMix) -> None:
    same = {"search": 10.0, "tv": 20.0}
    assert fitted.gain(same, same, 1) == (0.0, 0.0, 0.0)


def test_media_mix_is_the_same_after_load(fitted: MediaMix, tmp_path: Path) -> None:
    spend, _, controls, _ = _firm(1)
    fitted.save(tmp_path)
    again = MediaMix.load(tmp_path)
    pd.testing.assert_frame_equal(again.contributions_, fitted.contributions_, check_exact=True)
    pd.testing.assert_series_equal(
        again.predict(spend, controls), fitted.predict(spend, controls), check_exact=True
    )
    pd.testing.assert_series_equal(again.allocate(999.99, 7), fitted.allocate(999.99, 7))
    pd.testing.assert_series_equal(again.marginal_return_, fitted.marginal_return_)


def test_bad_input_is_refused_by_name() -> None:
    spend, outcome, controls, _ = _firm(1, weeks=60)
    with pytest.raises(ValueError, match=r"channels \['tv'\] have negative"):
        MediaMix().fit(spend.assign(tv=-1.0), outcome)
    with pytest.raises(ValueError, match="too few"):
        MediaMix().fit(spend[:10], outcome[:10])
    with pytest.raises(ValueError, match="outcome has 59 periods, spend has 60"):
        MediaMix().fit(spend, outcome[:59])
    with pytest.raises(ValueError, match=r"controls \['market'\] have missing"):
        MediaMix().fit(spend, outcome, controls.assign(market=np.nan))
    with pytest.raises(ValueError, match="no channel has any spend"):
        MediaMix().fit(spend * 0, outcome)
    with pytest.raises(ValueError, match="in order of time"):
        MediaMix().fit(spend[::-1], outcome)
    model = MediaMix(sweeps=100).fit(spend, outcome, controls)
    with pytest.raises(ValueError, match=r"controls lack the fitted columns \['market'\]"):
        model.predict(spend)
    with pytest.raises(ValueError, match=r"lacks the fitted channels \['tv'\]"):
        model.predict(spend[["search"]], controls)


@pytest.mark.parametrize("family", range(len(FAMILIES)))
def test_saturation_starts_at_zero_rises_and_bends_down(family: int) -> None:
    load = np.linspace(0, 5, 200)
    value, steep = saturate(load, family), slope(load, family)
    assert value[0] == 0.0
    assert steep[0] == pytest.approx(1.0)
    assert (np.diff(value) > 0).all()
    assert (np.diff(steep) < 0).all()
    np.testing.assert_allclose(np.gradient(value, load)[1:-1], steep[1:-1], atol=2e-3)


@given(decay=st.floats(0.0, 0.95), order=st.integers(1, 3), level=st.floats(0, 1e6))
@settings(max_examples=50, deadline=None)
def test_steady_spend_acts_as_itself(decay: float, order: int, level: float) -> None:
    acted = carry_over(np.full(30, level), decay, order, level)
    np.testing.assert_allclose(acted, level, rtol=1e-9)


@pytest.mark.long
def test_planted_contributions_of_the_sample_firm_are_covered() -> None:
    from warehouse.sources.sample.firm import SampleFirm

    covered, errors = [], []
    for seed in (4, 7):
        firm = SampleFirm(clients=100, seed=seed, end=dt.date(2026, 10, 31))
        spend = firm.table("channel_spend").to_pandas()
        wide = spend.pivot_table(index="spent_on", columns="channel", values="amount")
        wide = wide.set_index(pd.DatetimeIndex(wide.index)).fillna(0.0)
        series = firm.table("series").to_pandas()
        values = series.pivot_table(index="observed_at", columns="series_id", values="value")
        values = values.reindex(wide.index)
        model = MediaMix().fit(wide, values["new_business_revenue"], values[["market_index"]])
        truth = firm.truth()["contributions"].to_pandas().groupby("channel")["contribution"].sum()
        table = model.contributions_.join(truth.rename("truth"))
        covered += list((table["low"] <= table["truth"]) & (table["truth"] <= table["high"]))
        errors.append(abs(table["total"].sum() / table["truth"].sum() - 1))
    assert np.mean(covered) >= 0.6
    assert max(errors) <= 0.15


@pytest.mark.long
def test_open_data_figures_hold(example_data: Path) -> None:
    from ml.evaluation.budget import evaluate

    results = evaluate(example_data)
    assert {r.dataset for r in results} >= {"advertising", "pymc_mmm_roas"}
    assert all(result.holds for result in results), [r for r in results if not r.holds]


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    from ml.evaluation.budget import evaluate

    with pytest.raises(FileNotFoundError, match="advertising"):
        evaluate(tmp_path)
