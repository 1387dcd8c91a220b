"""Moments that surprise score high; nothing later reaches an earlier score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.alerts import alerts
from ml.estimators.anomaly import SeriesDetector


def daily(days: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2024-01-01", periods=days)
    weekday = np.array([1.0, 1.1, 1.0, 0.9, 0.8, 0.3, 0.2])[dates.dayofweek]
    value = 200.0 * weekday * np.exp(0.05 * rng.normal(size=days))
    return pd.DataFrame({"observed_at": dates, "value": value})


def hourly(rows: int = 2000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    times = pd.date_range("2024-01-01", periods=rows, freq="h")
    value = 50 + 20 * np.sin(2 * np.pi * np.arange(rows) / 24) + rng.normal(size=rows)
    return pd.DataFrame({"observed_at": times, "value": value})


@pytest.mark.parametrize("factor", [1.8, 0.5])
def test_spike_and_drop_of_a_daily_series_top_the_scores(factor: float) -> None:
    df = daily()
    df.loc[300, "value"] *= factor
    assert int(np.argmax(SeriesDetector().score(df))) == 300


def test_level_shift_alarms_on_its_first_day_and_then_becomes_usual() -> None:
    df = daily()
    df.loc[300:, "value"] *= 1.6
    score = SeriesDetector().score(df)
    assert int(np.argmax(score)) == 300
    assert score[330:].max() < score[300]


def test_flat_line_scores_higher_than_noise() -> None:
    df = daily()
    df.loc[300:305, "value"] = df.loc[299, "value"]
    score = SeriesDetector().score(df)
    usual = np.delete(score, np.arange(300, 320))
    assert score[302:306].min() > np.quantile(usual, 0.99)


def test_series_that_often_stands_still_may_do_so() -> None:
    counts = np.random.default_rng(0).integers(100, 103, 400).astype(float)
    repeats = np.diff(counts, prepend=0.0) == 0
    score = SeriesDetector().score(daily().assign(value=counts))
    assert np.median(score[100:][repeats[100:]]) < 0.35


def test_series_that_never_moved_is_no_event_and_its_first_move_is() -> None:
    still = daily().assign(value=100.0)
    assert SeriesDetector().score(still).max() < 0.05
    still.loc[350, "value"] = 150.0
    assert np.flatnonzero(SeriesDetector().score(still) > 0.4).tolist() == [350]


def test_series_that_stops_moving_is_an_event_until_that_is_usual() -> None:
    df = daily()
    df.loc[300:, "value"] = 100.0
    score = SeriesDetector().score(df)
    assert score[302:329].min() > 0.5
    assert score[329:].max() < 0.4


@pytest.mark.parametrize("freq", ["D", "h", "6h", "15min", "5min"])
def test_nothing_scores_in_the_warm_up_and_usual_values_soon_after_it(freq: str) -> None:
    firsts = []
    for seed in range(10):
        values = np.random.default_rng(seed).normal(100, 5, 400)
        times = pd.date_range("2025-01-01", periods=400, freq=freq)
        df = pd.DataFrame({"observed_at": times, "value": values})
        firsts.append(int(np.flatnonzero(SeriesDetector().score(df))[0]))
    warm_up = SeriesDetector().warm_up(df)
    assert warm_up <= min(firsts) <= warm_up + 5


@pytest.mark.parametrize("series", [daily, hourly])
def test_expectation_holds_most_usual_values(series: object) -> None:
    df = series()  # type: ignore[operator]
    band = SeriesDetector().expected(df).iloc[200:]
    value = df["value"].iloc[200:]
    inside = (value >= band["expected_low"]) & (value <= band["expected_high"])
    assert inside.mean() > 0.93


def test_hourly_jump_out_of_season_tops_the_scores() -> None:
    df = hourly()
    df.loc[1500:1510, "value"] += 40
    assert 1500 <= int(np.argmax(SeriesDetector().score(df))) <= 1510


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 399), seed=st.integers(0, 5), by_hour=st.booleans(), change=st.booleans())
def test_later_rows_never_change_earlier_scores(
    cut: int, seed: int, by_hour: bool, change: bool
) -> None:
    df = hourly(400, seed) if by_hour else daily(400, seed)
    later = df.copy()
    if change:
        rng = np.random.default_rng(seed)
        later.loc[cut:, "value"] = rng.normal(1e4, 1e4, len(df) - cut)
    else:
        later = later.iloc[:cut]
    detector = SeriesDetector()
    np.testing.assert_allclose(
        detector.score(df)[:cut], detector.score(later)[:cut], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        detector.expected(df).to_numpy()[:cut], detector.expected(later).to_numpy()[:cut]
    )


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=150), by_hour=st.booleans()
)
def test_any_series_scores_within_bounds(values: list[float | None], by_hour: bool) -> None:
    times = pd.date_range("2024-01-01", periods=len(values), freq="h" if by_hour else "D")
    value = np.array([np.nan if v is None else v for v in values], dtype=float)
    score = SeriesDetector().score(pd.DataFrame({"observed_at": times, "value": value}))
    assert score.shape == (len(values),)
    assert ((score >= 0) & (score <= 1)).all()


def test_series_without_value_or_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="value"):
        SeriesDetector().score(daily()[["observed_at"]])
    with pytest.raises(ValueError, match="ascend"):
        SeriesDetector().score(daily().iloc[::-1])


def test_series_options_survive_saving(tmp_path: Path) -> None:
    SeriesDetector(window=96).save(tmp_path)
    again = SeriesDetector.load(tmp_path)
    df = hourly(600)
    np.testing.assert_array_equal(again.score(df), SeriesDetector(window=96).score(df))


@pytest.mark.long
def test_open_series_beat_the_windowed_gaussian(example_data: Path) -> None:
    from ml.evaluation.anomaly import evaluate_series

    assert [result for result in evaluate_series(example_data) if result.ours < 45] == []


@pytest.mark.long
@pytest.mark.parametrize("seed", [5, 6])
def test_planted_series_anomalies_are_found_at_five_alerts_a_day(seed: int) -> None:
    from warehouse.sources.sample import SampleFirm

    firm = SampleFirm(clients=60, seed=seed)
    series = firm.table("series").to_pandas()
    parts = [
        group.sort_values("observed_at").assign(
            subject_id=name,
            score=SeriesDetector().score(group.sort_values("observed_at")),
        )
        for name, group in series.groupby("series_id")
    ]
    table = pd.concat(parts, ignore_index=True)
    table["observed_at"] = pd.to_datetime(table["observed_at"])
    truth = firm.truth()["anomalies"].to_pandas()
    truth = truth[truth["subject_kind"] == "series"]
    truth = truth.assign(observed_at=pd.to_datetime(truth["observed_at"]))
    judged = table.assign(alert=alerts(table, 5)).merge(truth, on=["subject_id", "observed_at"])
    assert judged["alert"].mean() >= 0.8
