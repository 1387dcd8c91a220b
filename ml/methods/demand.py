"""Demand: forecasts of every series with bands, by what each series' own past showed to work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.estimators.demand_backtest import mase_scale
from ml.methods.demand_data import LEAST_PERIODS, demand_panel
from ml.methods.frames import by_day
from ml.methods.method import (
    Comparison,
    Frames,
    Judged,
    Method,
    Value,
)
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

ORIGINS = 2
"""Past days that a backtest forecasts from, one horizon apart."""
BANDS = {"low_80": "lo-80", "high_80": "hi-80", "low_95": "lo-95", "high_95": "hi-95"}


class DemandMethod(Method):
    """Weekly services, or series at their own frequency; refits each day with chosen weights."""

    def learn(self, data: Snapshot, as_of: date) -> Any:
        panel = demand_panel(data, as_of)
        if not panel.frame.groupby("unique_id").size().max() >= LEAST_PERIODS:
            raise NotEnoughDataError(
                f"{self.spec.title} needs a series of at least {LEAST_PERIODS} periods"
                f" ({panel.freq}) up to {as_of}"
            )
        forecaster = self.spec.estimator_class()(
            horizon=self.settings.demand_weeks, gaps=panel.gaps
        )
        return forecaster.fit(panel.frame, panel.freq, panel.season_length)

    def load(self, folder: Path) -> Any:
        return self.spec.estimator_class().load(folder)

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        found: dict[date, Frames] = {}
        latest: _Known | None = None
        for day in days:
            history = demand_panel(data, day).frame
            # Weeks become whole once in seven days; only then is there anything new to forecast.
            if latest is None or not latest["history"].equals(history):
                latest = _Known(history=history)
            found[day] = latest
        return found

    def decide(self, fitted: Any, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        if isinstance(inputs, _Known):
            return inputs.decided(fitted, self.settings.demand_weeks)
        return decisions(fitted.predict(self.settings.demand_weeks, history=inputs["history"]))

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        panel = demand_panel(data, as_of)
        grid = np.sort(panel.frame["ds"].unique())
        h = self.settings.demand_weeks
        if len(grid) < LEAST_PERIODS + h:
            raise NotEnoughDataError(
                f"{self.spec.title} needs at least {LEAST_PERIODS + h} periods to judge a"
                f" forecast of {h}, there are {len(grid)} up to {as_of}"
            )
        count = min(ORIGINS, (len(grid) - LEAST_PERIODS) // h)
        cuts = [_day_before(grid[len(grid) - back * h]) for back in range(count, 0, -1)]
        cuts = [cut for cut in cuts if after is None or cut > after]
        if not cuts:
            return None
        model = fitted or self.learn(data, cuts[0])
        decided = pd.concat(
            [
                self.decide(model, self.inputs(data, [cut])[cut], cut, "none").assign(as_of=cut)
                for cut in cuts
            ],
            ignore_index=True,
        )
        return self.judge(model, data, decided, as_of)

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        panel = demand_panel(data, through)
        actual = panel.frame.rename(
            columns={"unique_id": "series_id", "ds": "target_date", "y": "outcome"}
        )
        actual["target_date"] = actual["target_date"].dt.date
        joined = decisions.merge(actual, on=["series_id", "target_date"])
        if joined.empty:
            return None
        judged = [
            _with_naive(rows, self.inputs(data, [day])[day]["history"], panel.season_length)
            for day, rows in by_day(joined)
        ]
        return Judged(pd.concat(judged, ignore_index=True), "forecasts from past days")

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        errors = {
            name: ((frame["outcome"] - frame[name]).abs() / frame["scale"])
            .groupby(frame["series_id"])
            .mean()
            .mean()
            for name in ("expected_quantity", "baseline")
        }
        return Comparison(
            ours={"mase": float(errors["expected_quantity"])},
            baseline={"mase": float(errors["baseline"])},
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Units that seasonal naive was wrong by and ours was not, at the cost of one."""
        frame = judged.frame
        cost = self.settings.unit_error_cost
        missed = {
            name: float((frame["outcome"] - frame[name]).abs().sum())
            for name in ("expected_quantity", "baseline")
        }
        return Value(
            amount=cost * (missed["baseline"] - missed["expected_quantity"]),
            baseline_amount=0.0,
            assumptions={"unit_error_cost": cost, "forecasts_judged": len(frame)},
        )

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        history = inputs["history"]
        days = history["ds"].dt.strftime("%Y-%m-%d").to_numpy(dtype=object)
        values = history["y"].to_numpy(dtype=float)
        groups = sorted(history.groupby("unique_id").indices.items())
        return pd.DataFrame(
            {
                "entity": [name for name, _ in groups],
                "features": [
                    {"ds": days[rows].tolist(), "y": values[rows].tolist()} for _, rows in groups
                ],
            }
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        """Each series' last year relative to its own mean, so that series can be compared."""
        history = inputs["history"]
        latest = history.groupby("unique_id").tail(52)
        level = latest.groupby("unique_id")["y"].transform("mean")
        return pd.DataFrame({"relative_quantity": (latest["y"] / level.where(level > 0))})


class _Known(dict[str, pd.DataFrame]):
    """What several days know alike, with the forecasts made from it, so that none is made twice."""

    _made: tuple[Any, pd.DataFrame] | None = None

    def decided(self, fitted: Any, periods: int) -> pd.DataFrame:
        """A copy of the decisions of this forecaster; the memory is that of one call's inputs."""
        if self._made is None or self._made[0] is not fitted:
            forecast = fitted.predict(periods, history=self["history"])
            self._made = (fitted, decisions(forecast))
        return self._made[1].copy()


def decisions(forecast: pd.DataFrame) -> pd.DataFrame:
    """The ``Decision`` columns of an estimator's forecast."""
    return pd.DataFrame(
        {
            "series_id": forecast["unique_id"].astype(str),
            "target_date": forecast["ds"].dt.date,
            "expected_quantity": forecast["yhat"],
            **{name: forecast[column] for name, column in BANDS.items()},
        }
    )


def _with_naive(rows: pd.DataFrame, history: pd.DataFrame, season: int) -> pd.DataFrame:
    """Adds what seasonal naive would have said, and the scale of each series' MASE.

    Both as the estimator has them: last season once a whole one is there, else the last value.
    """
    ordered = rows.sort_values(["series_id", "target_date"], ignore_index=True)
    past = history.sort_values(["unique_id", "ds"], ignore_index=True)
    values, known = past["y"].to_numpy(dtype=float), past.groupby("unique_id").indices
    naive, scale = np.empty(len(ordered)), np.empty(len(ordered))
    for name, places in ordered.groupby("series_id").indices.items():
        y = values[known[name]]
        naive[places] = np.resize(y[-season:] if len(y) >= season else y[-1:], len(places))
        scale[places] = mase_scale(y, season)
    return ordered.assign(baseline=naive, scale=scale)


def _day_before(stamp: Any) -> date:
    day: date = pd.Timestamp(stamp).date() - timedelta(days=1)
    return day
