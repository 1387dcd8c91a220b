"""The forecasters that compete for a series, each a function of one window of its history."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from ml.estimators.demand_grid import Grid, History, natural_seasons
from ml.estimators.demand_harmonic import calendar_columns, forecast_harmonic

LONGEST = 1040  # periods that a candidate reads at most, the latest ones
_SEASON_OF_STATES = 12  # longest season that exponential smoothing can hold, one state a period
_INTERMITTENT = 1.32  # periods a demand, the bound of Syntetos, Boylan and Croston (2005)
_ARIMA_SEASON, _ARIMA_LONGEST = 12, 400  # where ARIMA's search is affordable


@dataclass(frozen=True)
class Window:
    """What a candidate sees: the history up to an origin, the grid and the season asked for."""

    history: History
    grid: Grid
    season_length: int

    @property
    def n(self) -> int:
        """Periods seen."""
        return len(self.history.y)

    @cached_property
    def recent(self) -> np.ndarray:
        """The latest values: at most ten of the longest season, at least 200 where there are."""
        longest = max([*natural_seasons(self.season_length, self.grid, self.n), 1.0])
        return self.history.y[-min(LONGEST, max(200, round(10 * longest))) :]

    @property
    def seasons(self) -> list[float]:
        """Seasons that the recent values show once and a half."""
        return natural_seasons(self.season_length, self.grid, len(self.recent))

    @property
    def positive(self) -> bool:
        """Whether every recent value is above zero."""
        return bool(self.recent.min() > 0)

    def calendar(self, h: int) -> np.ndarray | None:
        """Calendar regressors of the recent periods and the ``h`` ahead."""
        periods = self.history.periods[-len(self.recent) :]
        if not isinstance(periods, pd.DatetimeIndex):
            return None
        ahead = self.grid.after(periods[-1], h)
        return calendar_columns(pd.DatetimeIndex(periods.append(ahead)))


def names_for(window: Window) -> list[str]:
    """Candidates that can be fitted on this window and on every longer one of the series."""
    y, n, season = window.history.y, window.n, window.season_length
    names = ["seasonal_naive", "naive", "mean"]
    if n < 8 or np.ptp(y) == 0:
        return names
    demands = int(np.count_nonzero(y))
    if y.min() >= 0 and n / max(demands, 1) >= _INTERMITTENT:
        return [*names, "croston_sba", "tsb", "adida", "imapa"] if demands >= 2 else names
    names.remove("mean")
    names += ["ets", "theta"]
    if n >= 24:
        names += ["waves", "waves_log", "waves_trend"]
    if n > season + 1 > 2:
        names.append("seasonal_drift")
    if season > 1 and n >= 2 * season + 4:
        names.append("mstl")
    return names


def costly_for(window: Window) -> list[str]:
    """Candidates worth a try only where they beat the others on the latest window."""
    affordable = window.season_length <= _ARIMA_SEASON and window.n <= _ARIMA_LONGEST
    return ["arima"] if affordable and window.n >= 3 * window.season_length + 12 else []


def forecast(name: str, window: Window, h: int) -> np.ndarray:
    """``h`` values after the window by the candidate ``name``, kept within plausible bounds."""
    values = np.asarray(_CANDIDATES[name](window, h), dtype=np.float64)
    return plausible(values, window)


def plausible(values: np.ndarray, window: Window) -> np.ndarray:
    """Not beyond the recent range by more than its width, never below zero where y never was."""
    recent = window.recent
    low, high = float(recent.min()), float(recent.max())
    width = high - low
    values = np.where(np.isfinite(values), values, recent[-1])
    floor = low - width
    return np.clip(values, max(floor, 0.0) if window.history.y.min() >= 0 else floor, high + width)


@lru_cache(maxsize=1)
def _models() -> Any:
    """statsforecast's models; heavy, so imported at the first use, whose warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_module("statsforecast.models")


def _seasonal_naive(window: Window, h: int) -> np.ndarray:
    y, season = window.history.y, window.season_length
    last = y[-season:] if len(y) >= season else y[-1:]
    return np.resize(last, h)


def _seasonal_drift(window: Window, h: int) -> np.ndarray:
    """Last season moved by what the level has changed since."""
    y, season = window.history.y, window.season_length
    return _seasonal_naive(window, h) + (y[-1] - y[-1 - season])


def _season_of_table(window: Window) -> int:
    """The season where the history holds it twice and a bit, else 1."""
    season = window.season_length
    return season if len(window.recent) >= 2 * season + 4 else 1


def _ets(window: Window, h: int) -> np.ndarray:
    season = _season_of_table(window)
    season = season if season <= _SEASON_OF_STATES and window.n >= 3 * season else 1
    return _models().AutoETS(season_length=season).forecast(y=window.recent, h=h)["mean"]


def _theta(window: Window, h: int) -> np.ndarray:
    y = window.recent
    shift = 0.0 if y.min() > 0 else float(np.ptp(y)) - float(y.min())  # its seasons multiply
    model = _models().DynamicOptimizedTheta(season_length=_season_of_table(window))
    return model.forecast(y=y + shift, h=h)["mean"] - shift


def _mstl(window: Window, h: int) -> np.ndarray:
    seen = len(window.recent)
    lengths = [int(s) for s in window.seasons if seen >= 2 * s + 4] or [window.season_length]
    trend = _models().AutoETS(season_length=1, model="ZZN")
    model = _models().MSTL(lengths, trend_forecaster=trend)
    return model.forecast(y=window.recent, h=h)["mean"]


def _arima(window: Window, h: int) -> np.ndarray:
    y = np.log(window.recent) if window.positive else window.recent
    season = window.season_length if window.n >= 3 * window.season_length else 1
    values = _models().AutoARIMA(season_length=season).forecast(y=y, h=h)["mean"]
    return np.exp(np.minimum(values, 700.0)) if window.positive else values


def _waves(window: Window, h: int) -> np.ndarray:
    return forecast_harmonic(window.recent, h, window.seasons, window.calendar(h))


def _waves_log(window: Window, h: int, trend: bool = False) -> np.ndarray:
    """Waves that multiply; a median forecast. On plain values where some are below zero."""
    y = window.recent
    if y.min() < 0:
        return forecast_harmonic(y, h, window.seasons, window.calendar(h), trend=True)
    unit = 1.0 if y.min() == 0 else 0.0
    values = forecast_harmonic(np.log(y + unit), h, window.seasons, window.calendar(h), trend)
    return np.exp(np.minimum(values, 700.0)) - unit


def _sparse(name: str) -> Callable[[Window, int], np.ndarray]:
    def run(window: Window, h: int) -> np.ndarray:
        y = window.recent
        if np.count_nonzero(y) < 2:
            return np.full(h, y.mean())
        kind = getattr(_models(), name)
        model = kind(0.1, 0.1) if name == "TSB" else kind()
        return model.forecast(y=y, h=h)["mean"]

    return run


_CANDIDATES: dict[str, Callable[[Window, int], np.ndarray]] = {
    "seasonal_naive": _seasonal_naive,
    "naive": lambda window, h: np.full(h, window.history.y[-1]),
    "mean": lambda window, h: np.full(h, window.recent.mean()),
    "seasonal_drift": _seasonal_drift,
    "ets": _ets,
    "theta": _theta,
    "mstl": _mstl,
    "arima": _arima,
    "waves": _waves,
    "waves_log": _waves_log,
    "waves_trend": lambda window, h: _waves_log(window, h, trend=True),
    "croston_sba": _sparse("CrostonSBA"),
    "tsb": _sparse("TSB"),
    "adida": _sparse("ADIDA"),
    "imapa": _sparse("IMAPA"),
}
