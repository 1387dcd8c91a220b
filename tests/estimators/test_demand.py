"""What the demand forecaster promises, on series whose truth is known."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.demand import DemandForecaster
from ml.estimators.demand_backtest import mase_scale
from ml.estimators.demand_bands import Bands
from tests.estimators.demand_series import quick, weekly


@pytest.fixture(scope="module")
def fitted() -> DemandForecaster:
    frame = pd.concat([weekly("A", seed=1), weekly("B", seed=2, height=0.0)])
    return quick().fit(frame, "W-MON", 52)


# the forecast


def test_a_yearly_wave_is_forecast_better_than_by_last_year() -> None:
    whole = weekly(weeks=172, seed=3)
    model = quick().fit(whole.iloc[:160], "W-MON", 52)
    actual = whole["y"].iloc[160:].to_numpy()
    last_year = whole["y"].iloc[108:120].to_numpy()
    forecast = model.predict(12)["yhat"].to_numpy()
    assert np.abs(actual - forecast).mean() < np.abs(actual - last_year).mean()


def test_the_slump_at_the_turn_of_the_year_is_expected_again() -> None:
    frame = weekly(weeks=150, height=0.0, noise=3.0)  # ends in November 2025
    slump = ((frame["ds"].dt.month == 12) & (frame["ds"].dt.day >= 21)).to_numpy()
    frame.loc[slump, "y"] = 30.0
    forecast = quick().fit(frame, "W-MON", 52).predict(10)
    low = forecast.loc[forecast["yhat"].idxmin(), "ds"]
    assert pd.Timestamp("2025-12-21") <= low <= pd.Timestamp("2025-12-30")
    assert forecast["yhat"].min() < 70


def test_the_frame_is_in_long_format_and_follows_the_last_period(fitted: DemandForecaster) -> None:
    forecast = fitted.predict(5, level=(80, 95))
    assert list(forecast) == ["unique_id", "ds", "yhat", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert list(forecast["unique_id"]) == ["A"] * 5 + ["B"] * 5
    expected = pd.date_range("2023-01-02", periods=165, freq="W-MON")[160:]
    assert list(forecast["ds"].iloc[:5]) == list(expected)


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(fitted: DemandForecaster) -> None:
    long, short = fitted.predict(30), fitted.predict(4)
    first = long.groupby("unique_id").head(4).reset_index(drop=True)
    pd.testing.assert_frame_equal(short, first)


def test_a_series_is_forecast_as_if_it_were_alone(fitted: DemandForecaster) -> None:
    alone = quick().fit(weekly("B", seed=2, height=0.0), "W-MON", 52).predict(12)
    together = fitted.predict(12)
    theirs = together[together["unique_id"] == "B"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, theirs, check_exact=True)


def test_the_order_of_rows_is_irrelevant(fitted: DemandForecaster) -> None:
    frame = pd.concat([weekly("A", seed=1), weekly("B", seed=2, height=0.0)])
    shuffled = frame.sample(frac=1, random_state=4)
    forecast = quick().fit(shuffled, "W-MON", 52).predict(12)
    pd.testing.assert_frame_equal(forecast, fitted.predict(12), check_exact=True)


def test_a_larger_unit_gives_the_same_forecast_in_that_unit() -> None:
    frame = weekly(seed=5)
    plain = quick().fit(frame, "W-MON", 52).predict(6)["yhat"]
    larger = quick().fit(frame.assign(y=frame["y"] * 1000), "W-MON", 52).predict(6)["yhat"]
    np.testing.assert_allclose(larger, plain * 1000, rtol=0.02)


# the backtest


def test_ours_is_never_worse_than_seasonal_naive_on_the_backtest() -> None:
    rng = np.random.default_rng(6)
    walk = np.cumsum(rng.normal(size=120)) + 50
    frame = pd.concat([weekly("A", 120), weekly("W", 120).assign(y=walk)])
    backtest = quick().fit(frame, "W-MON", 52).backtest_
    assert (backtest["mase"] <= backtest["mase_seasonal_naive"]).all()
    assert list(backtest["unique_id"]) == ["A", "W"]


def test_seasonal_naive_s_backtest_error_is_what_a_second_computation_gives() -> None:
    frame = weekly(seed=7)
    row = quick().fit(frame, "W-MON", 52).backtest_.iloc[0]
    y, found = frame["y"].to_numpy(), []
    for cut in (124, 136, 148):
        past, actual = y[:cut], y[cut : cut + 12]
        scale = np.mean([abs(past[t] - past[t - 52]) for t in range(52, cut)])
        found.append(np.mean(np.abs(actual - past[-52:-40])) / scale)
    assert (row["windows"], row["horizon"]) == (3, 12)
    assert row["mase_seasonal_naive"] == pytest.approx(np.mean(found))


def test_mase_scale_falls_back_where_a_season_shows_no_difference() -> None:
    assert mase_scale(np.array([1.0, 2, 1, 2, 1, 2]), 2) == 1.0  # zero by season, 1 by step
    assert mase_scale(np.full(5, 7.0), 2) == 7.0
    assert mase_scale(np.zeros(5), 2) == 1.0


# the bands


def test_95_percent_bands_hold_80_percent_bands_hold_the_forecast(fitted: DemandForecaster) -> None:
    f = fitted.predict(26)
    assert (f["lo-95"] <= f["lo-80"]).all()
    assert (f["lo-80"] <= f["yhat"]).all()
    assert (f["yhat"] <= f["hi-80"]).all()
    assert (f["hi-80"] <= f["hi-95"]).all()


@given(
    errors=st.lists(
        st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=12
    ),
    levels=st.lists(st.floats(1, 99.5), min_size=2, max_size=5),
    h=st.integers(1, 30),
)
def test_bands_grow_with_level_and_horizon(
    errors: list[list[float]], levels: list[float], h: int
) -> None:
    bands = Bands.fit(np.array(errors))
    widths = np.array([bands.half_width(h, level) for level in sorted(levels)])
    assert (widths >= 0).all()
    assert (np.diff(widths, axis=0) >= -1e-9 * (1 + widths.max())).all()
    assert (np.diff(widths, axis=1) >= 0).all()


@pytest.mark.long
def test_bands_cover_about_what_they_say() -> None:
    frames = [weekly(f"S{k:02d}", 172, seed=100 + k) for k in range(20)]
    known = pd.concat([frame.iloc[:160] for frame in frames])
    later = pd.concat([frame.iloc[160:] for frame in frames])
    both = quick(windows=4).fit(known, "W-MON", 52).predict(12).merge(later, on=["unique_id", "ds"])
    for level, least, most in ((80, 0.72, 0.9), (95, 0.89, 0.99)):
        inside = both["y"].between(both[f"lo-{level}"], both[f"hi-{level}"]).mean()
        assert least <= inside <= most


# kinds of series


@pytest.mark.parametrize("length", [1, 2, 3, 5, 9, 20, 55])
def test_a_history_too_short_for_its_season_still_gets_a_forecast(length: int) -> None:
    forecast = quick().fit(weekly(weeks=length), "W-MON", 52).predict(3)
    assert np.isfinite(forecast[["yhat", "lo-95", "hi-95"]].to_numpy()).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
def test_a_constant_series_stays_constant(value: float) -> None:
    frame = weekly(weeks=120).assign(y=value)
    forecast = quick().fit(frame, "W-MON", 52).predict(4)
    assert forecast[["yhat", "lo-95", "hi-95"]].to_numpy() == pytest.approx(value)


def test_intermittent_demand_is_forecast_as_a_rate_and_never_below_zero() -> None:
    rng = np.random.default_rng(8)
    y = rng.poisson(0.4, 160).astype(float)
    forecast = quick().fit(weekly().assign(y=y), "W-MON", 52)
    assert "ets" not in forecast.backtest_["candidates"].iloc[0]
    values = forecast.predict(12)
    assert (values[["yhat", "lo-80", "lo-95"]].to_numpy() >= 0).all()
    assert values["yhat"].mean() < 1.5


def test_counts_never_get_negative_bounds_and_other_series_may() -> None:
    frame = pd.concat([weekly("counts", noise=60), weekly("net").assign(y=lambda f: f["y"] - 100)])
    bounds = quick().fit(frame, "W-MON", 52).predict(12).groupby("unique_id")["lo-95"].min()
    assert bounds["counts"] >= 0
    assert bounds["net"] < 0


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=30))
def test_any_series_of_counts_gets_finite_nested_non_negative_forecasts(values: list[int]) -> None:
    frame = pd.DataFrame({"unique_id": "x", "ds": range(len(values)), "y": np.float64(values)})
    f = quick(horizon=3).fit(frame, 1, 4).predict(5)
    bounds = f[["lo-95", "lo-80", "yhat", "hi-80", "hi-95"]].to_numpy()
    assert np.isfinite(bounds).all()
    assert (bounds >= 0).all()
    assert (np.diff(bounds, axis=1) >= -1e-9).all()


# kept and used again


def test_a_loaded_forecaster_forecasts_the_same_to_the_bit(
    fitted: DemandForecaster, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    loaded = DemandForecaster.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(20), fitted.predict(20), check_exact=True)
    pd.testing.assert_frame_equal(loaded.backtest_, fitted.backtest_, check_exact=True)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".parquet"]


def test_a_longer_history_moves_the_forecast_and_keeps_the_weights(
    fitted: DemandForecaster,
) -> None:
    longer = weekly("A", weeks=170, seed=1)
    forecast = fitted.predict(3, history=longer)
    assert list(forecast["unique_id"]) == ["A"] * 3
    assert forecast["ds"].min() > longer["ds"].max()
    width, before = forecast["hi-80"] - forecast["yhat"], fitted.predict(3)
    np.testing.assert_allclose(width, (before["hi-80"] - before["yhat"]).iloc[:3])


def test_a_history_never_seen_is_fitted_on_the_spot(fitted: DemandForecaster) -> None:
    new = weekly("new", weeks=80, seed=9)
    forecast = fitted.predict(6, history=new)
    pd.testing.assert_frame_equal(forecast, quick().fit(new, "W-MON", 52).predict(6))
    assert "new" not in fitted.series_


def test_prophet_is_quiet_kept_as_json_and_the_same_after_loading(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = quick(prophet=True, windows=1).fit(weekly(), "W-MON", 52)
        assert "prophet" in model.series_["A"].weights
        forecast = model.predict(6)
    output = capfd.readouterr()
    assert (output.out, output.err, caplog.records) == ("", "", [])
    model.save(tmp_path)
    loaded = DemandForecaster.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(6), forecast, check_exact=True)
    refitted = loaded.predict(6, history=weekly(weeks=161))
    assert np.isfinite(refitted["yhat"]).all()


@pytest.mark.parametrize(("freq", "season"), [("D", 7), ("h", 24), ("MS", 12), ("QS", 4)])
def test_other_frequencies_follow_their_own_season(freq: str, season: int) -> None:
    n = 6 * season + 40
    t = np.arange(n + season)
    y = 50 + 20 * np.sin(2 * np.pi * t / season)
    ds = pd.date_range("2022-01-01", periods=n + season, freq=freq)
    frame = pd.DataFrame({"unique_id": "x", "ds": ds, "y": y})
    forecast = quick(horizon=season, windows=2).fit(frame.iloc[:n], freq, season).predict(season)
    assert list(forecast["ds"]) == list(ds[n:])
    np.testing.assert_allclose(forecast["yhat"], y[n:], atol=5)
