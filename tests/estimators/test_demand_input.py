"""Gaps in a series are filled as asked or refused; what cannot be meant is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.estimators.demand import DemandForecaster
from ml.estimators.demand_grid import SeriesError
from tests.estimators.demand_series import quick, weekly


def test_a_missing_week_counts_as_no_demand() -> None:
    frame = weekly()
    lacking = frame.drop(index=[50, 90])
    zeros = frame.assign(y=frame["y"].where(~frame.index.isin([50, 90]), 0.0))
    one = quick().fit(lacking, "W-MON", 52).predict(4)
    pd.testing.assert_frame_equal(one, quick().fit(zeros, "W-MON", 52).predict(4))


def test_a_gap_can_be_interpolated_or_refused_by_name() -> None:
    lacking = weekly().drop(index=[50])
    filled = weekly()
    filled.loc[50, "y"] = (filled.loc[49, "y"] + filled.loc[51, "y"]) / 2
    one = quick(gaps="interpolate").fit(lacking, "W-MON", 52).predict(4)
    np.testing.assert_allclose(one["yhat"], quick().fit(filled, "W-MON", 52).predict(4)["yhat"])
    with pytest.raises(SeriesError, match="'A' lacks 1 periods, first 2023-12-18"):
        quick(gaps="refuse").fit(lacking, "W-MON", 52)


def test_a_period_given_twice_is_refused_by_name() -> None:
    frame = weekly(weeks=20)
    twice = pd.concat([frame, frame.iloc[[3]]])
    with pytest.raises(SeriesError, match=r"given more than once, first 2023-01-23.*'A'"):
        quick().fit(twice, "W-MON", 52)


def test_a_date_off_the_grid_is_refused_by_name() -> None:
    frame = weekly(weeks=20)
    frame.loc[3, "ds"] = pd.Timestamp("2023-01-25")
    with pytest.raises(SeriesError, match=r"2023-01-25.* of series 'A' is not a period"):
        quick().fit(frame, "W-MON", 52)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="y"), r"columns \['y'\] are missing"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(y=[np.nan, *f["y"].iloc[1:]]), "missing or infinite in 1 rows"),
        (lambda f: f.assign(y=[np.inf, *f["y"].iloc[1:]]), "missing or infinite in 1 rows"),
        (lambda f: f.assign(y="many"), "y must be numeric"),
        (lambda f: f.assign(unique_id=[None, *f["unique_id"].iloc[1:]]), "may not be missing"),
    ],
)
def test_frames_that_cannot_be_meant_are_refused(change: object, message: str) -> None:
    with pytest.raises(SeriesError, match=message):
        quick().fit(change(weekly(weeks=20)), "W-MON", 52)  # type: ignore[operator]


def test_settings_out_of_range_are_refused() -> None:
    fitted = quick().fit(weekly(), "W-MON", 52)
    for wrong in ({"horizon": 0}, {"windows": 0}, {"gaps": "guess"}, {"prophet": "maybe"}):
        with pytest.raises(SeriesError, match=next(iter(wrong))):
            quick(**wrong).fit(weekly(weeks=20), "W-MON", 52)
    with pytest.raises(SeriesError, match="season_length"):
        quick().fit(weekly(weeks=20), "W-MON", 0)
    with pytest.raises(SeriesError, match="freq"):
        quick().fit(weekly(weeks=20), "fortnight", 52)
    with pytest.raises(SeriesError, match="h is a whole number"):
        fitted.predict(0)
    with pytest.raises(SeriesError, match="levels are percents"):
        fitted.predict(3, level=(0.8, 195))
    with pytest.raises(SeriesError, match="not fitted"):
        DemandForecaster().predict(3)
