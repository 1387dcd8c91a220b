"""Weeks of services as known by a day, and forecasts that are made once a week."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.methods.demand import DemandMethod, _with_naive
from ml.methods.demand_data import _weekly
from ml.models import default_registry

MONDAY = dt.date(2024, 1, 1)


class Counting:
    """A forecaster that says how often it was asked."""

    asked = 0

    def predict(self, periods: int, history: pd.DataFrame) -> pd.DataFrame:
        self.asked += 1
        bands = {f"{end}-{level}": 1.0 for end in ("lo", "hi") for level in (80, 95)}
        last = history["ds"].max() + pd.Timedelta(days=7)
        return pd.DataFrame({"unique_id": ["a"], "ds": [last], "yhat": [1.0], **bands})


def sales() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.Timestamp(MONDAY) + pd.to_timedelta(rng.integers(0, 200, 500), unit="D")
    services = rng.choice(["b", "a", "c"], 500)
    return pd.DataFrame(
        {"service_id": services, "issued_on": days, "quantity": rng.integers(1, 9, 500) * 1.0}
    )


def test_weekly_totals_are_those_of_a_plain_loop() -> None:
    rows = sales()
    as_of = dt.date(2024, 7, 10)
    found = _weekly(rows, "issued_on", as_of)
    expected = []
    first = rows["issued_on"].min()
    start = first + pd.Timedelta(days=-first.weekday() % 7)
    for service in ["a", "b", "c"]:
        own = rows[rows["service_id"] == service]
        begun = own["issued_on"].min()
        begun -= pd.Timedelta(days=begun.weekday())
        week = max(start, begun)
        while week + pd.Timedelta(days=6) <= pd.Timestamp(as_of):
            inside = own["issued_on"].between(week, week + pd.Timedelta(days=6))
            expected.append((f"service:{service}", week, own.loc[inside, "quantity"].sum()))
            week += pd.Timedelta(days=7)
    wanted = pd.DataFrame(expected, columns=["unique_id", "ds", "y"])
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_days_of_one_week_share_one_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    class Panel:
        def __init__(self, frame: pd.DataFrame) -> None:
            self.frame = frame

    def panel(data: Any, day: dt.date) -> Panel:
        return Panel(_weekly(sales(), "issued_on", day))

    monkeypatch.setattr("ml.methods.demand.demand_panel", panel)
    method = DemandMethod(default_registry()["demand"])
    days = [dt.date(2024, 6, 3) + dt.timedelta(days=n) for n in range(14)]
    inputs, fitted = method.inputs(None, days), Counting()  # type: ignore[arg-type]
    frames = [method.decide(fitted, inputs[day], day, "none") for day in days]
    # Sunday ends a week, so fourteen days from a Monday know three histories.
    assert fitted.asked == 3
    alone = Counting()
    for day, frame in zip(days, frames, strict=True):
        one = method.decide(alone, method.inputs(None, [day])[day], day, "none")  # type: ignore[arg-type]
        pd.testing.assert_frame_equal(frame, one)


@pytest.mark.parametrize(("length", "period"), [(8, 4), (5, 4), (3, 1)])
def test_baseline_is_the_last_season_once_there_is_one(length: int, period: int) -> None:
    y = np.arange(length, dtype=float) ** 2
    days = pd.date_range(MONDAY, periods=length, freq="D")
    history = pd.DataFrame({"unique_id": "s", "ds": days, "y": y})
    ahead = [MONDAY + dt.timedelta(days=length + n) for n in range(6)]
    rows = pd.DataFrame({"series_id": "s", "target_date": ahead})
    found = _with_naive(rows, history, season=4)
    assert found["baseline"].tolist() == [y[-period:][n % period] for n in range(6)]
    assert found["scale"].iloc[0] == np.abs(y[period:] - y[:-period]).mean()
