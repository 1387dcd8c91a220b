"""How much will be asked for: weighted statistical forecasters, chosen series by series."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from ml.estimators import demand_prophet
from ml.estimators.demand_backtest import PROPHET, SeriesModel, choose, combine
from ml.estimators.demand_candidates import Window
from ml.estimators.demand_grid import GAPS, Grid, History, SeriesError, histories


class DemandForecaster:
    """Forecasts of many series, each from its own past only, with bands from its own errors.

    Per series a rolling-origin backtest weighs seasonal naive, exponential smoothing, theta, MSTL,
    waves on a moving level, ARIMA and Prophet where they suit, or the methods for intermittent
    demand, by the inverse square of their error; where the mix loses against seasonal naive on
    those windows, seasonal naive it is.

    horizon: periods ahead that the backtest measures. windows: backtest origins at most.
    prophet: "auto" (kept where it beats every other candidate on the latest window), True (always
    weighed, where two years by week or finer are there) or False. gaps: what a period without a
    row means: "zero" (nobody asked), "interpolate" (not measured) or "refuse".
    """

    series_: dict[str, SeriesModel]
    backtest_: pd.DataFrame
    freq_: str | int
    season_length_: int

    def __init__(
        self,
        horizon: int = 12,
        windows: int = 4,
        prophet: bool | Literal["auto"] = "auto",
        gaps: Literal["zero", "interpolate", "refuse"] = "zero",
        seed: int = 0,
    ) -> None:
        self.horizon = horizon
        self.windows = windows
        self.prophet = prophet
        self.gaps = gaps
        self.seed = seed

    def fit(self, df: pd.DataFrame, freq: str | int, season_length: int) -> Self:
        """Learn from long df with ``unique_id``, ``ds`` and ``y``, in any order of rows.

        ``freq`` is a pandas alias (``W-MON``, ``D``, ``MS``, ``h``), or a whole step where ``ds``
        counts periods; ``season_length`` is in periods, 1 for none. Sets ``backtest_``: one row a
        series with unique_id, mase, mase_seasonal_naive, windows, horizon and candidates.

        Raises SeriesError (a ValueError) on missing columns or values, repeated periods, periods
        off the grid and, with gaps="refuse", missing ones.
        """
        self._check_settings(season_length)
        grid = Grid(freq)
        found = list(histories(df, grid, self.gaps))
        self.freq_, self.season_length_ = freq, int(season_length)
        self._histories = {history.name: history for history in found}
        self.series_, self._prophets = {}, {}
        for history in found:
            model, text = self._learn(history)
            self.series_[history.name] = model
            if text is not None:
                self._prophets[history.name] = text
        self.backtest_ = _backtest_frame(self.series_)
        return self

    def predict(
        self,
        h: int | None = None,
        level: Sequence[float] = (80, 95),
        history: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """The ``h`` (default: ``horizon``) periods after each series' last one.

        Columns unique_id, ds, ``yhat`` and for each level L (percent, in (0, 100)) ``lo-L`` and
        ``hi-L``; rows sorted by series and period. ``yhat`` aims at the least absolute error.

        With ``history`` (a frame as in ``fit``) the forecasts start after that instead: a series
        fitted before keeps its weights and bands, one never seen is fitted on the spot.
        """
        self._check_fitted()
        steps = self.horizon if h is None else h
        if isinstance(steps, bool) or int(steps) != steps or steps < 1:
            raise SeriesError(f"h is a whole number of periods, 1 or more, got {h!r}")
        levels = _checked_levels(level)
        if history is None:
            asked = list(self._histories.values())
        else:
            asked = list(histories(history, Grid(self.freq_), self.gaps))
        parts = [self._forecast(series, int(steps), levels) for series in asked]
        return pd.concat(parts, ignore_index=True)

    def save(self, folder: Path) -> None:
        """Write ``demand.json``, ``history.parquet`` and ``prophet.json`` into the folder."""
        self._check_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "settings": {name: getattr(self, name) for name in _SETTINGS},
            "freq": self.freq_,
            "season_length": self.season_length_,
            "series": {name: model.to_dict() for name, model in self.series_.items()},
        }
        (folder / "demand.json").write_text(json.dumps(state, indent=1) + "\n")
        (folder / "prophet.json").write_text(json.dumps(self._prophets) + "\n")
        frames = [
            pd.DataFrame({"unique_id": name, "ds": series.periods, "y": series.y})
            for name, series in self._histories.items()
        ]
        pd.concat(frames, ignore_index=True).to_parquet(folder / "history.parquet", index=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What ``save`` wrote; its forecasts are the same to the bit."""
        state = json.loads((folder / "demand.json").read_text())
        loaded = cls(**state["settings"])
        loaded.freq_, loaded.season_length_ = state["freq"], state["season_length"]
        loaded.series_ = {
            name: SeriesModel.from_dict(model) for name, model in state["series"].items()
        }
        loaded._prophets = json.loads((folder / "prophet.json").read_text())
        frame = pd.read_parquet(folder / "history.parquet")
        found = histories(frame, Grid(loaded.freq_), "refuse")
        loaded._histories = {history.name: history for history in found}
        loaded.backtest_ = _backtest_frame(loaded.series_)
        return loaded

    def _learn(self, history: History) -> tuple[SeriesModel, str | None]:
        window = self._window(history)
        model = choose(window, self.horizon, self.windows, self.prophet, self.seed)
        wanted = PROPHET in model.weights
        return model, demand_prophet.fit_json(window, self.seed) if wanted else None

    def _window(self, history: History) -> Window:
        return Window(history, Grid(self.freq_), self.season_length_)

    def _forecast(self, history: History, h: int, levels: list[float]) -> pd.DataFrame:
        window = self._window(history)
        name = history.name
        model, text = self.series_.get(name), self._prophets.get(name)
        if model is None:
            model, text = self._learn(history)
        elif text is not None and not _same(history, self._histories[name]):
            text = demand_prophet.fit_json(window, self.seed)
        values = combine(model, window, h, text)
        columns: dict[str, Any] = {
            "unique_id": name,
            "ds": window.grid.after(history.periods[-1], h),
            "yhat": values,
        }
        floor = 0.0 if history.y.min() >= 0 else -np.inf
        for percent in levels:
            half = model.bands.half_width(h, percent)
            columns[f"lo-{percent:g}"] = np.maximum(values - half, floor)
            columns[f"hi-{percent:g}"] = values + half
        return pd.DataFrame(columns)

    def _check_settings(self, season_length: int) -> None:
        for name, value in (
            ("horizon", self.horizon),
            ("windows", self.windows),
            ("season_length", season_length),
        ):
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise SeriesError(f"{name} is a whole number, 1 or more, got {value!r}")
        if self.gaps not in GAPS:
            raise SeriesError(f"gaps is one of {GAPS}, got {self.gaps!r}")
        if self.prophet not in (True, False, "auto"):
            raise SeriesError(f"prophet is True, False or 'auto', got {self.prophet!r}")

    def _check_fitted(self) -> None:
        if not hasattr(self, "series_"):
            raise SeriesError("this DemandForecaster is not fitted: call fit(df, freq, season)")


_SETTINGS = ("horizon", "windows", "prophet", "gaps", "seed")


def _checked_levels(level: Sequence[float]) -> list[float]:
    wrong = [value for value in level if not 0 < value < 100]
    if wrong:
        raise SeriesError(f"levels are percents between 0 and 100, got {wrong}")
    return sorted(set(level))


def _same(one: History, other: History) -> bool:
    return one.periods.equals(other.periods) and np.array_equal(one.y, other.y)


def _backtest_frame(series: dict[str, SeriesModel]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unique_id": list(series),
            "mase": [model.mase for model in series.values()],
            "mase_seasonal_naive": [model.mase_naive for model in series.values()],
            "windows": [model.windows for model in series.values()],
            "horizon": [model.horizon for model in series.values()],
            "candidates": [", ".join(model.weights) for model in series.values()],
        }
    )
