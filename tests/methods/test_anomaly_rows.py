"""Lines and client days beside what their own past leads to expect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.anomaly import SeriesDetector
from ml.methods.anomaly import LEAST_SCORE
from ml.methods.anomaly_fitted import FEATURES, FittedAnomaly, Tail
from ml.methods.anomaly_injection import with_injected_anomalies
from ml.methods.anomaly_rows import client_rows, largest_deviations, line_rows, row_frames


def bought(clients: int, days: int) -> pd.DataFrame:
    """Clients of very different sizes, each buying some of five services every few days."""
    rng = np.random.default_rng(4)
    size, usual = rng.normal(0, 1, clients), rng.normal(2, 1, 5)
    taste = rng.normal(0, 0.4, (clients, 5))
    rows = []
    for day in range(days):
        for client in np.flatnonzero(rng.random(clients) < 0.15):
            for service in np.flatnonzero(rng.random(5) < 0.5):
                log = size[client] + usual[service] + taste[client, service]
                rows.append((day, client, service, np.exp(log + rng.normal(0, 0.3))))
    frame = pd.DataFrame(rows, columns=["day", "client", "service", "quantity"])
    return pd.DataFrame(
        {
            "line_id": [f"L{number:06d}" for number in range(len(frame))],
            "client_id": frame["client"].map("C{:02d}".format),
            "service_id": frame["service"].map("S{}".format),
            "observed_at": pd.Timestamp("2025-01-01") + pd.to_timedelta(frame["day"], unit="D"),
            "quantity": frame["quantity"],
            "unit_price": 100.0,
        }
    )


@pytest.fixture
def lines() -> pd.DataFrame:
    return bought(clients=30, days=200)


def test_a_usual_quantity_is_about_one_deviation_off(lines: pd.DataFrame) -> None:
    late = line_rows(lines)["quantity_surprise"].iloc[len(lines) // 2 :]
    # Below one: the spread still remembers lines of clients that had no past yet.
    assert 0.6 < late.std() < 1.1
    assert late.mean() == pytest.approx(0.0, abs=0.15)


def test_later_lines_move_no_earlier_row(lines: pd.DataFrame) -> None:
    cut = lines["observed_at"] < "2025-05-01"
    known = line_rows(lines[cut])
    pd.testing.assert_frame_equal(line_rows(lines).iloc[: len(known)], known)
    days = client_rows(lines[cut])
    pd.testing.assert_frame_equal(client_rows(lines).iloc[: len(days)], days)


def test_a_new_service_is_no_surprise(lines: pd.DataFrame) -> None:
    new = lines.tail(1).assign(service_id="S9", quantity=1e6, line_id="L999999")
    found = line_rows(pd.concat([lines, new])).set_index("subject_id")
    assert found.loc["L999999", "quantity_own"] == 0.0


def test_one_typo_does_not_make_the_next_one_usual(lines: pd.DataFrame) -> None:
    client, service = lines["client_id"].iloc[-1], lines["service_id"].iloc[-1]
    own = lines.index[(lines["client_id"] == client) & (lines["service_id"] == service)]
    twice = lines.copy()
    twice.loc[[own[-3], own[-1]], "quantity"] *= 10
    surprise = line_rows(twice).set_index("subject_id")["quantity_own"]
    assert surprise[twice.loc[own[-1], "line_id"]] > 4
    assert surprise[twice.loc[own[-3], "line_id"]] > 4


def test_a_day_of_sixfold_quantities_stands_out_among_client_days(lines: pd.DataFrame) -> None:
    last = lines[lines["observed_at"] > "2025-06-01"].groupby(["client_id", "observed_at"])
    client, day = next(key for key, rows in last if len(rows) == 2)
    burst = lines.copy()
    hit = (burst["client_id"] == client) & (burst["observed_at"] == day)
    burst.loc[hit, "quantity"] *= 6
    rows = client_rows(burst)
    here = (rows["subject_id"] == client) & (rows["observed_at"] == day)
    assert here.sum() == 1
    assert rows.loc[here, "quantities_own"].item() > rows.loc[~here, "quantities_own"].quantile(
        0.99
    )


def test_a_slightly_different_value_after_four_equal_ones_is_no_event(lines: pd.DataFrame) -> None:
    few = lines.tail(5).assign(
        service_id="S9", line_id=[f"M{number}" for number in range(5)], quantity=[1, 1, 1, 1, 3]
    )
    few["observed_at"] = lines["observed_at"].max()
    rows = line_rows(pd.concat([lines, few])).set_index("subject_id")
    plain = largest_deviations(pd.concat([lines, few]), row_frames(pd.concat([lines, few])))
    # Beside a spread of its own alone it would be 22 deviations off: what the baseline falls for.
    assert plain["line"].iloc[-1] > 20
    assert abs(rows.loc["M4", "quantity_own"]) < 4


def test_lines_of_a_restless_client_are_smaller_surprises(lines: pd.DataFrame) -> None:
    noise = np.random.default_rng(1).normal(0, 1.2, len(lines))
    restless = lines["client_id"] == "C03"
    wild = lines.assign(
        quantity=lines["quantity"].where(~restless, lines["quantity"] * np.exp(noise))
    )
    late = lines.index[restless][-1]
    calm, wild = (frame.copy() for frame in (lines, wild))
    usual = line_rows(calm).set_index("subject_id").loc[lines.loc[late, "line_id"], "price_own"]
    assert usual == pytest.approx(0.0, abs=1e-6)
    for frame in (calm, wild):
        frame.loc[late, "quantity"] = lines.loc[late, "quantity"] * 10
    surprise = [
        line_rows(frame).set_index("subject_id").loc[lines.loc[late, "line_id"], "quantity_own"]
        for frame in (calm, wild)
    ]
    assert surprise[1] < 0.7 * surprise[0]


@pytest.fixture
def fitted(lines: pd.DataFrame) -> FittedAnomaly:
    return FittedAnomaly.learn(SeriesDetector(), row_frames(lines))


def test_far_beyond_the_training_range_further_still_outranks_far(fitted: FittedAnomaly) -> None:
    for kind, names in FEATURES.items():
        for name in names:
            far = pd.DataFrame(0.0, index=range(6), columns=names)
            far[name] = [0.5, 4.0, 10.0, 30.0, 100.0, 1000.0]
            for side in (far, -far):
                score = fitted.row_scores(kind, side.to_numpy())
                assert (np.diff(score) > 0).all(), (kind, name, score)
                assert score[2] > 0.5


def test_rows_that_do_not_deviate_score_low_and_are_never_shown_to_the_detector(
    fitted: FittedAnomaly, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    detector = fitted.rows["line"]
    decide = detector.decide

    def counted(codes: np.ndarray) -> np.ndarray:
        seen.append(len(codes))
        return np.asarray(decide(codes))

    monkeypatch.setattr(detector, "decide", counted)
    features = np.column_stack([[0.0] * 5, [0.0, 0.5, -1.0, 1.0, 9.0]])
    score = fitted.row_scores("line", features)
    assert seen == [1]
    assert score[:4].max() < 0.35 < 0.5 < score[4]


def test_half_is_one_usual_row_in_a_hundred_of_those_that_come_later() -> None:
    lines = bought(clients=60, days=500)
    later = pd.Timestamp("2025-12-01")
    fitted = FittedAnomaly.learn(SeriesDetector(), row_frames(lines[lines["observed_at"] < later]))
    for kind, rows in row_frames(lines).items():
        rows = rows[rows["observed_at"] >= later]
        assert len(rows) > 1000
        scores = fitted.row_scores(kind, rows[FEATURES[kind]].to_numpy())
        assert (scores >= 0.5).mean() == pytest.approx(0.01, abs=0.004), kind
        assert (scores >= LEAST_SCORE).mean() == pytest.approx(0.03, abs=0.015), kind


def test_in_large_books_half_is_once_a_day_however_many_lines_there_are() -> None:
    rng = np.random.default_rng(2)
    days = np.repeat(pd.date_range("2025-01-01", periods=40), 1000)
    rows = pd.DataFrame(
        {
            "observed_at": days,
            "price_own": rng.standard_t(4, len(days)),
            "quantity_own": rng.standard_t(4, len(days)),
        }
    )
    fitted = FittedAnomaly.learn(SeriesDetector(), {"line": rows})
    above = (fitted.row_scores("line", rows[FEATURES["line"]].to_numpy()) >= 0.5).sum()
    assert 0.6 < above / 40 < 1.6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=200))
def test_sizes_rise_with_the_deviation_and_are_one_at_the_level(values: list[float]) -> None:
    tail = Tail.of(np.array(values))
    grid = np.linspace(0.0, 1e7, 300)
    assert (np.diff(tail.size(grid)) >= 0).all()
    assert tail.size(np.array([tail.level]))[0] == pytest.approx(1.0)
    np.testing.assert_array_equal(tail.size(grid), tail.size(-grid))


def test_the_power_of_a_heavy_tail_is_recovered() -> None:
    pareto = np.random.default_rng(3).pareto(3.0, 200_000) + 1.0
    tail = Tail.of(pareto)
    assert tail.fall == pytest.approx(3.0, rel=0.1)
    assert tail.level == pytest.approx(100 ** (1 / 3), rel=0.02)
    assert tail.size(np.array([10_000 ** (1 / 3)]))[0] == pytest.approx(2.0, rel=0.05)


def test_what_was_learned_scores_the_same_bit_for_bit_after_loading(
    fitted: FittedAnomaly, lines: pd.DataFrame, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    again = FittedAnomaly.load(tmp_path)
    for kind, rows in row_frames(lines).items():
        features = rows[FEATURES[kind]].to_numpy()
        np.testing.assert_array_equal(
            again.row_scores(kind, features), fitted.row_scores(kind, features)
        )


def test_baseline_is_denied_no_quantity_the_model_sees(lines: pd.DataFrame) -> None:
    frames = row_frames(lines)
    largest = largest_deviations(lines, frames)
    assert (largest["line"] >= frames["line"]["quantity_surprise"].abs()).all()
    # The model's own divides by at least √½π, the deviation of a median of normal values.
    assert (largest["client"] >= frames["client"]["quantities_own"].abs()).all()


def test_more_is_planted_in_larger_books_up_to_a_bound(lines: pd.DataFrame) -> None:
    frames = {"lines": lines, "series": pd.DataFrame(columns=["series_id", "observed_at", "value"])}
    start = pd.Timestamp("2025-01-01")
    _, planted = with_injected_anomalies(frames, start, {})
    assert planted["subject_kind"].value_counts()["line"] == pytest.approx(
        0.02 * len(lines) * 60 / 105, abs=1
    )
    many = pd.concat(
        [lines.assign(line_id=lines["line_id"] + str(copy)) for copy in range(5)], ignore_index=True
    )
    _, planted = with_injected_anomalies({**frames, "lines": many}, start, {})
    assert planted["subject_kind"].value_counts()["line"] == 60


def test_where_a_whole_day_is_off_its_lines_are_no_events_of_their_own(
    lines: pd.DataFrame, fitted: FittedAnomaly
) -> None:
    counts = lines.groupby(["client_id", "observed_at"])["line_id"].transform("size")
    key = lines[(counts == 5) & (lines["observed_at"] > "2025-04-01")].iloc[0]
    day = (lines["client_id"] == key["client_id"]) & (lines["observed_at"] == key["observed_at"])
    burst, typo = lines.copy(), lines.copy()
    burst.loc[day, "quantity"] *= 6
    typo.loc[key.name, "quantity"] *= 6

    def scores(frame: pd.DataFrame) -> tuple[float, float]:
        frames = row_frames(frame)
        line = frames["line"][frames["line"]["subject_id"] == key["line_id"]]
        client = frames["client"]
        client = client[
            (client["client_id"] == key["client_id"])
            & (client["observed_at"] == key["observed_at"])
        ]
        return tuple(
            float(fitted.row_scores(kind, found[FEATURES[kind]].to_numpy())[0])
            for kind, found in (("line", line), ("client", client))
        )  # type: ignore[return-value]

    line_of_burst, burst_day = scores(burst)
    line_alone, typo_day = scores(typo)
    assert burst_day > line_of_burst
    assert line_alone > line_of_burst
    assert line_alone > typo_day
