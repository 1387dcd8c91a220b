"""The demand figures on open data: the metrics are the competition's, the floors are reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.evaluation.demand import evaluate, m4_figures, mase, smape


def test_smape_and_mase_by_hand() -> None:
    actual, forecast = np.array([100.0, 50.0]), np.array([80.0, 50.0])
    assert smape(actual, forecast) == pytest.approx((200 * 20 / 180 + 0) / 2)
    assert mase(actual, forecast, np.array([1.0, 3.0, 2.0]), 1) == pytest.approx(10 / 1.5)


def test_a_forecast_for_the_wrong_periods_is_refused() -> None:
    train = pd.DataFrame({"series_id": "W1", "t": [1, 2, 3], "y": [1.0, 2.0, 4.0]})
    test = pd.DataFrame({"series_id": ["W1"], "t": [4], "y": [5.0]})
    wrong = pd.DataFrame({"unique_id": ["W1"], "ds": [5], "yhat": [5.0]})
    with pytest.raises(ValueError, match="1 values to forecast, but 0 forecasts"):
        m4_figures(train, test, wrong)


def test_naive_scores_what_the_competition_published_for_it(example_data: Path) -> None:
    train = pd.read_parquet(example_data / "m4_weekly" / "train.parquet")
    test = pd.read_parquet(example_data / "m4_weekly" / "test.parquet")
    last = train.sort_values("t").groupby("series_id")["y"].last()
    naive = test.rename(columns={"series_id": "unique_id", "t": "ds"})
    naive = naive.assign(yhat=naive["unique_id"].map(last)).drop(columns="y")
    figures = m4_figures(train, test, naive)
    assert round(figures["sMAPE"], 3) == 9.161
    assert round(figures["MASE"], 3) == 2.777


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_floor_is_reached(example_data: Path) -> None:
    results = evaluate(example_data)
    assert [r.dataset for r in results if r.floor is not None] == ["m4_weekly", "m4_weekly"]
    assert [(r.metric, r.ours) for r in results if not r.holds] == []
