"""Regression on waves and calendar whose errors wander: for seasons too long for a season's table.

Three years of weeks hold a season of 52 three times: too few for 52 seasonal levels, enough for a
few waves (dynamic harmonic regression, Hyndman and Athanasopoulos, 3rd ed., section 10.5). The
errors follow ARIMA(0,1,1), whose forecast is simple exponential smoothing, so the level may move;
a filter turns that regression into least squares (conditional maximum likelihood).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import pandas as pd
from scipy.signal import lfilter

_SMOOTHINGS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.45, 0.65, 0.85, 1.0)
_WAVES = (0, 1, 2, 3, 4, 6)
_PERIODS_A_WAVE = 12  # observations that each wave needs
# Errors of neighbouring weeks hang together, so AICc tells choices apart less well than it says.
_FLATTEN = 4.0
_NEGLIGIBLE = 0.01  # weight beside the best choice's, below which one is left out
_RIDGE = 0.5  # rows' worth of belief that a wave is absent; steadies waves seen twice


def forecast_harmonic(
    y: np.ndarray,
    horizon: int,
    seasons: Sequence[float],
    calendar: np.ndarray | None = None,
    trend: bool = False,
) -> np.ndarray:
    """Forecast ``horizon`` periods after ``y`` (periods,).

    ``seasons`` are lengths in periods, fractions allowed; ``calendar`` holds regressors known
    ahead, (periods + horizon, columns). Averaged over the numbers of waves
    and smoothings with flattened Akaike weights: no single choice is sure after a few seasons.
    """
    design, choices = _design(len(y), horizon, seasons, calendar, trend)
    tried: list[tuple[float, float, list[int], np.ndarray]] = []
    for smoothing in _SMOOTHINGS:
        sums = _Sums.of(y, design[: len(y)], smoothing)
        for columns in choices:
            beta, score = sums.solve(columns)
            tried.append((score, smoothing, columns, beta))
    least = min(score for score, *_ in tried)
    if not np.isfinite(least):  # too few rows for any: the constant alone, as first tried
        tried, least = tried[:1], tried[0][0]
    total, result = 0.0, np.zeros(horizon)
    for score, smoothing, columns, beta in tried:
        weight = 1.0 if score == least else float(np.exp((least - score) / 2 / _FLATTEN))
        if weight < _NEGLIGIBLE:
            continue
        fitted = design[:, columns] @ beta
        level = 0.0
        if smoothing > 0.0:
            residual = y - fitted[: len(y)]
            level = float(lfilter([smoothing], [1.0, smoothing - 1.0], residual)[-1])
        total += weight
        result += weight * (fitted[len(y) :] + level)
    return result / total


def calendar_columns(dates: pd.DatetimeIndex) -> np.ndarray | None:
    """Regressors that most firms share, (periods, columns); None where the period hides them.

    Days and weeks: the share of their days in the turn of the year (21 December to 2 January).
    Months: the number of weekdays, as a share around its mean.
    """
    if len(dates) < 2:
        return None
    day = dates.to_numpy().astype("datetime64[D]")
    length = round(float(np.median(np.diff(dates.to_numpy()) / np.timedelta64(1, "D"))), 2)
    if length in (1.0, 7.0):
        grid = pd.DatetimeIndex((day[:, None] + np.arange(int(length))[None, :]).ravel())
        turn = ((grid.month == 12) & (grid.day >= 21)) | ((grid.month == 1) & (grid.day <= 2))
        share = np.asarray(turn, dtype=float).reshape(len(dates), int(length)).mean(axis=1)
        return share[:, None]
    if 28 <= length <= 31:
        month = day.astype("datetime64[M]")
        weekdays = np.busday_count(
            month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
        )
        return (weekdays[:, None] - 21.7) / 21.7
    return None


@dataclass(frozen=True)
class _Sums:
    """Sums of products of the filtered target and inputs, from which any subset is solved."""

    rows: int
    gram: np.ndarray
    cross: np.ndarray
    square: float
    scale: float

    @classmethod
    def of(cls, y: np.ndarray, known: np.ndarray, smoothing: float) -> _Sums:
        stacked = np.column_stack([y, known])
        if smoothing > 0.0:
            # Innovations of ARIMA(0,1,1); its first level is carried by the constant column.
            stacked[1:] -= stacked[:-1].copy()
            stacked = lfilter([1.0], [1.0, smoothing - 1.0], stacked, axis=0)
        target, inputs = stacked[:, 0], stacked[:, 1:]
        return cls(
            len(y),
            inputs.T @ inputs,
            inputs.T @ target,
            float(target @ target),
            float(y @ y) / len(y),
        )

    def solve(self, columns: list[int]) -> tuple[np.ndarray, float]:
        """Coefficients and AICc of the regression on these columns; the first is the constant."""
        gram = self.gram[np.ix_(columns, columns)]
        cross = self.cross[columns]
        penalty = _RIDGE / self.rows * np.diag(gram).copy()
        penalty[0] *= 1e-8
        beta = np.linalg.solve(gram + np.diag(penalty + 1e-10), cross)
        left = self.square - 2 * float(beta @ cross) + float(beta @ gram @ beta)
        variance = max(left / self.rows, 1e-12 * self.scale + 1e-300)
        parameters = len(columns) + 2
        spare = self.rows - parameters - 1
        if spare <= 0:
            return beta, np.inf
        score = self.rows * np.log(variance) + 2 * parameters * self.rows / spare
        return beta, float(score)


def _design(
    n: int,
    horizon: int,
    seasons: Sequence[float],
    calendar: np.ndarray | None,
    trend: bool,
) -> tuple[np.ndarray, list[list[int]]]:
    """All columns, (n + horizon, columns), and the subsets of them to choose from."""
    t = np.arange(n + horizon, dtype=float)
    columns = [np.ones(len(t))]
    if trend:
        columns.append(t / n)
    if calendar is not None:
        # A column that never moved while y was seen has no coefficient to learn.
        columns += [c for c in calendar.T if np.ptp(c[:n]) > 0]
    always = list(range(len(columns)))
    groups: list[list[list[int]]] = []
    for season in seasons:
        waves: list[list[int]] = [[]]
        most = int(min(_WAVES[-1], season / 2, n / _PERIODS_A_WAVE))
        for k in range(1, most + 1):
            angle = 2 * np.pi * k * t / season
            pair = [np.cos(angle)] if 2 * k == season else [np.cos(angle), np.sin(angle)]
            waves.append(waves[-1] + list(range(len(columns), len(columns) + len(pair))))
            columns += pair
        groups.append([waves[k] for k in _WAVES if k < len(waves)])
    choices = [[*always, *chain.from_iterable(chosen)] for chosen in product(*groups)]
    return np.column_stack(columns), choices
