"""Rows that differ and moments that surprise score high; nothing later reaches an earlier score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.alerts import alerts
from ml.estimators.anomaly import RowDetector, SeriesDetector
from ml.estimators.row_detectors import (
    IsolationTrees,
    LocalOutlierFactor,
    Mahalanobis,
    NearestInSamples,
)
from ml.evaluation.nab import nab_score, windowed_gaussian


def mixed_rows(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.lognormal(3.0, 0.4, rows)
    frame = pd.DataFrame(
        {
            "orders": size,
            "revenue": size * rng.normal(100.0, 5.0, rows),
            "segment": rng.choice(["small", "large"], rows),
            "late": rng.random(rows) < 0.3,
        }
    )
    frame.loc[rng.random(rows) < 0.1, "revenue"] = np.nan
    return frame


@pytest.fixture(scope="module")
def detector() -> RowDetector:
    return RowDetector(seed=3).fit(mixed_rows())


def test_row_off_the_pattern_outranks_usual_rows(detector: RowDetector) -> None:
    odd = mixed_rows(1, seed=1).assign(orders=20.0, revenue=9_000.0)
    usual = detector.decision_function(mixed_rows(200, seed=2))
    assert detector.decision_function(odd)[0] > np.quantile(usual, 0.98)


def test_unseen_category_is_odder_than_a_known_one(detector: RowDetector) -> None:
    known = mixed_rows(50, seed=4)
    unseen = known.assign(segment="from another world")
    assert (detector.decision_function(unseen) > detector.decision_function(known)).mean() > 0.95


def test_reasons_name_the_odd_column_with_its_value_and_side(detector: RowDetector) -> None:
    odd = mixed_rows(1, seed=1).assign(orders=1e5, revenue=2_000.0, segment="small")
    first = detector.reasons(odd, top=1)[0][0]
    assert first["feature"] == "orders"
    assert first["value"] == 1e5
    assert first["contribution"] > 3
    low = detector.reasons(odd.assign(orders=0.001), top=1)[0][0]
    assert (low["feature"], low["contribution"] < 0) == ("orders", True)


def test_columns_are_matched_by_name(detector: RowDetector) -> None:
    X = mixed_rows(30, seed=5)
    turned = X[X.columns[::-1]]
    np.testing.assert_array_equal(detector.decision_function(X), detector.decision_function(turned))


def test_missing_column_is_refused_by_name(detector: RowDetector) -> None:
    with pytest.raises(ValueError, match="revenue"):
        detector.decision_function(mixed_rows(5).drop(columns="revenue"))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        RowDetector().fit(mixed_rows(7))


def test_rows_saved_and_loaded_score_the_same_bit_for_bit(
    detector: RowDetector, tmp_path: Path
) -> None:
    detector.save(tmp_path / "model")
    again = RowDetector.load(tmp_path / "model")
    X = mixed_rows(80, seed=6)
    np.testing.assert_array_equal(again.decision_function(X), detector.decision_function(X))
    assert again.reasons(X) == detector.reasons(X)
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".npz"}


def test_same_seed_same_scores() -> None:
    X = mixed_rows(120)
    first, second = (RowDetector(seed=9).fit(X).decision_function(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@settings(max_examples=15, deadline=None)
@given(
    values=st.lists(
        st.tuples(st.one_of(st.none(), st.floats(-1e6, 1e6)), st.sampled_from(["a", "b", None])),
        min_size=8,
        max_size=40,
    )
)
def test_any_table_gets_finite_scores(values: list[tuple[float | None, str | None]]) -> None:
    X = pd.DataFrame(
        {
            "number": np.array([np.nan if n is None else n for n, _ in values]),
            "word": pd.Series([w for _, w in values], dtype=object),
        }
    )
    score = RowDetector(trees=10, samples=5).fit(X).decision_function(X)
    assert np.isfinite(score).all()


def test_local_outlier_factor_agrees_with_scikit_learn() -> None:
    from sklearn.neighbors import LocalOutlierFactor as Oracle

    Z = np.random.default_rng(1).normal(size=(150, 3))
    ours = LocalOutlierFactor.fit(Z, 1000, 10, np.random.default_rng(0)).score(Z)
    theirs = -Oracle(n_neighbors=10).fit(Z).negative_outlier_factor_
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_mahalanobis_agrees_with_the_inverse_covariance() -> None:
    Z = np.random.default_rng(2).normal(size=(300, 4)) @ np.diag([1.0, 2.0, 3.0, 0.5])
    centred = Z - Z.mean(axis=0)
    inverse = np.linalg.inv(np.cov(Z.T) + 1e-3 * np.eye(4))
    expected = np.einsum("ij,jk,ik->i", centred, inverse, centred)
    np.testing.assert_allclose(Mahalanobis.fit(Z).score(Z), expected, rtol=1e-8)


def test_isolation_trees_rank_as_scikit_learn_does() -> None:
    from scipy.stats import spearmanr
    from sklearn.ensemble import IsolationForest

    Z = np.random.default_rng(3).normal(size=(500, 4))
    ours = IsolationTrees.fit(Z, 200, 256, np.random.default_rng(0)).score(Z)
    theirs = -IsolationForest(n_estimators=200, random_state=0).fit(Z).score_samples(Z)
    assert spearmanr(ours, theirs).statistic > 0.95
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.02)


def test_distance_to_samples_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(4)
    Z = rng.normal(size=(60, 3))
    part = NearestInSamples.fit(Z, 7, 5, rng)
    expected = [
        np.mean([np.linalg.norm(sample - row, axis=1).min() for sample in part.samples])
        for row in Z
    ]
    np.testing.assert_allclose(part.score(Z), expected, atol=1e-6)


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


def subjects(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "subject_id": [f"s{i}" for i in range(40)],
            "observed_at": pd.to_datetime("2024-05-01") + pd.to_timedelta(np.arange(40) % 4, "D"),
            "score": rng.integers(0, 4, 40) / 4,
        }
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100), budget=st.integers(0, 12))
def test_alerts_keep_the_budget_take_the_highest_and_ignore_row_order(
    seed: int, budget: int
) -> None:
    table = subjects(seed)
    chosen = alerts(table, budget)
    for _, day in table.assign(chosen=chosen).groupby("observed_at"):
        assert day["chosen"].sum() == min(budget, int((day["score"] > 0).sum()))
        left, taken = day[~day["chosen"]]["score"], day[day["chosen"]]["score"]
        assert taken.empty or left.empty or taken.min() >= left.max()
    mixed = table.sample(frac=1, random_state=seed)
    again = pd.Series(alerts(mixed, budget), index=mixed.index).sort_index()
    np.testing.assert_array_equal(again, chosen)


def test_nab_gives_100_to_the_perfect_and_0_to_the_silent_detector() -> None:
    spans = {"a": [(400, 449)], "b": [(500, 519), (700, 719)]}
    perfect = {name: np.zeros(1000) for name in spans}
    for name, windows in spans.items():
        for start, _ in windows:
            perfect[name][start] = 1.0
    assert nab_score(perfect, spans).score == pytest.approx(100.0)
    assert nab_score({name: np.zeros(1000) for name in spans}, spans, threshold=1.0).score == 0.0


def test_nab_charges_false_positives_and_late_detections() -> None:
    spans = {"a": [(400, 499)]}
    late, false = np.zeros(1000), np.zeros(1000)
    late[499] = 1.0
    false[400], false[900] = 1.0, 1.0
    # The last row of a window of 100 lies at -1/100: sigmoid 0.025 of the best 0.987.
    early = 2 / (1 + np.exp(-5.0)) - 1
    assert nab_score({"a": late}, spans, 1.0).score == pytest.approx(
        100 * (1 + (2 / (1 + np.exp(-0.05)) - 1) / early) / 2
    )
    assert nab_score({"a": false}, spans, 1.0).score == pytest.approx(100 * (2 - 0.11) / 2)


def test_windowed_gaussian_finds_the_outlier() -> None:
    values = np.random.default_rng(0).normal(size=500)
    values[300] = 12.0
    assert int(np.argmax(windowed_gaussian(values)[50:])) == 250


@pytest.mark.slow
def test_open_rows_reach_their_floors(example_data: Path) -> None:
    from ml.evaluation.anomaly import evaluate_rows

    assert [result for result in evaluate_rows(example_data) if not result.holds] == []


@pytest.mark.slow
def test_open_series_beat_the_windowed_gaussian(example_data: Path) -> None:
    from ml.evaluation.anomaly import evaluate_series

    assert [result for result in evaluate_series(example_data) if result.ours < 45] == []


@pytest.mark.slow
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
