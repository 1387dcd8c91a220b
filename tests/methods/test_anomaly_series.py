"""Sources that hold series and no lines: each series is judged on its own last values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.estimators.anomaly import SeriesDetector
from ml.lifecycle.training import train
from ml.lifecycle.workspace import Workspace
from ml.methods.anomaly_data import SERIES_VALUES
from ml.models import default_registry
from ml.refusals import NotEnoughDataError
from ml.serving.base import Asked
from tests.serving.asking import of_fitted
from tests.small_firm import Firm

SPEC = default_registry()["anomaly"]
LAST = date(2025, 6, 30)
Holding = Callable[[pd.DataFrame], Workspace]


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Holding]:
    """A workspace whose source is one table of series."""
    opened: list[Workspace] = []

    def ingested(series: pd.DataFrame) -> Workspace:
        firm = Firm(tmp_path)
        firm.export_folder.mkdir(exist_ok=True)
        series.to_csv(firm.export_folder / "series.csv", index=False)
        opened.append(firm.on(LAST))
        opened[-1].ingest("once")
        return opened[-1]

    yield ingested
    for workspace in opened:
        workspace.engine.dispose()


def series(name: str, start: str, freq: str, rows: int) -> pd.DataFrame:
    noise = np.random.default_rng(len(name)).normal(0, 1, rows)
    days = pd.date_range(start, periods=rows, freq=freq)
    return pd.DataFrame({"series_id": name, "observed_at": days, "value": 100 + noise})


def test_series_that_are_weekly_or_ended_years_ago_are_judged_all_the_same(
    holding: Holding,
) -> None:
    weekly, ended = (
        series("weekly", "2023-01-01", "7D", 130),
        series("ended", "2019-01-01", "D", 300),
    )
    workspace = holding(pd.concat([weekly, ended]))
    trained = train(workspace, SPEC, "run-1")
    judged = pd.read_parquet(
        workspace.artifacts.open("anomaly", trained.version).folder / "judged.parquet"
    )
    assert judged.loc[judged["outcome"] > 0, "subject_id"].value_counts().to_dict() == {
        "weekly": 2,
        "ended": 2,
    }
    assert judged.groupby("subject_id").size().to_dict() == {"weekly": 24, "ended": 90}
    assert trained.comparison.ours["recall_at_budget"] > 0.5


def test_an_answer_is_the_stored_decision_bit_for_bit(holding: Holding) -> None:
    hourly = series("hourly", "2024-11-01", "h", 24 * 242)
    five_minutes = series("fast", "2025-05-05", "5min", 288 * 57)
    workspace = holding(pd.concat([hourly, five_minutes]))
    method = workspace.method(SPEC)
    inputs = method.inputs(workspace.snapshot(), [LAST])[LAST]
    fitted = method.learn(workspace.snapshot(), LAST)
    decided = method.decide(fitted, inputs, LAST, "none")
    online = method.online(inputs, decided)
    stored = dict(zip(online["entity"], online["features"], strict=True))
    judged = ["observed_at", "value", "score", "expected_low", "expected_high"]
    for name in ("hourly", "fast"):
        last = decided[decided["subject_id"] == name].tail(30)
        asked = [
            {"observed_at": row.observed_at.isoformat(), "value": row.value}
            for row in last.itertuples()
        ]
        query = SPEC.Query(series_id=name, observations=asked)
        past = json.loads(json.dumps(stored[name]))
        answer = of_fitted(SPEC, fitted).answer(Asked(query, past, LAST))
        pd.testing.assert_frame_equal(
            pd.DataFrame(answer.decisions)[judged],
            last[judged].reset_index(drop=True),
            check_exact=True,
            check_dtype=False,
        )


def test_of_a_fast_series_every_decided_value_has_all_the_past_the_detector_remembers(
    holding: Holding,
) -> None:
    workspace = holding(series("fast", "2025-05-05", "5min", 288 * 57))
    method = workspace.method(SPEC)
    inputs = method.inputs(workspace.snapshot(), [LAST])[LAST]
    assert len(inputs["series"]) == SERIES_VALUES < 288 * 57
    decided = method.decide(method.learn(workspace.snapshot(), LAST), inputs, LAST, "none")
    detector = SeriesDetector()
    assert SERIES_VALUES - len(decided) >= detector.history + detector.window
    assert decided["observed_at"].min() == pd.Timestamp("2025-06-01")


def test_values_the_detector_cannot_score_are_not_planted(holding: Holding) -> None:
    short = [series(f"s{number:02d}", "2024-12-24", "7D", 27) for number in range(3)]
    workspace = holding(pd.concat([*short, series("long", "2023-03-20", "7D", 119)]))
    judged = workspace.method(SPEC).backtest(workspace.snapshot(), LAST)
    assert judged is not None
    assert set(judged.frame["subject_id"]) == {"long"}


def test_a_new_model_of_monthly_series_is_judged_on_what_came_after_the_champion(
    holding: Holding,
) -> None:
    workspace = holding(series("monthly", "2012-01-31", "ME", 162))
    method = workspace.method(SPEC)
    champion = date(2023, 6, 30)
    fitted = method.learn(workspace.snapshot(), champion)
    judged = method.backtest(workspace.snapshot(), LAST, fitted, after=champion)
    assert judged is not None
    assert judged.frame["observed_at"].min() == pd.Timestamp("2023-07-31")
    assert len(judged.frame) == 24
    last = date(2025, 3, 31)
    assert method.backtest(workspace.snapshot(), LAST, fitted, after=last) is None


def test_live_decisions_of_monthly_series_are_judged_from_their_first_day_on(
    holding: Holding,
) -> None:
    workspace = holding(series("monthly", "2012-01-31", "ME", 162))
    method = workspace.method(SPEC)
    fitted = method.learn(workspace.snapshot(), date(2023, 1, 31))
    decisions = pd.DataFrame({"as_of": [date(2024, 1, 31), date(2025, 6, 30)]})
    judged = method.judge(fitted, workspace.snapshot(), decisions, LAST)
    assert judged is not None
    assert judged.frame["observed_at"].min() == pd.Timestamp("2024-01-31")


def test_series_too_short_to_be_judged_are_refused_in_words(holding: Holding) -> None:
    many = pd.concat([series(f"s{number}", "2025-06-01", "D", 5) for number in range(3)])
    with pytest.raises(NotEnoughDataError, match="needs 200 purchases or a series of 60 values"):
        train(holding(many), SPEC, "run-1")
