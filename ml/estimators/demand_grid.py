"""From a long frame of any row order to regular series: checked, sorted, gaps filled by rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ("unique_id", "ds", "y")
GAPS = ("zero", "interpolate", "refuse")
_YEAR = 365.25
SHOWN = 1.5  # seasons that a history must hold before a season can be told from a trend


class SeriesError(ValueError):
    """Series that cannot be forecast as given; the message names the series and the way out."""


@dataclass(frozen=True)
class Grid:
    """The frequency of the series: a pandas alias (``W-MON``, ``D``, ``MS``, ``h``) or a step."""

    freq: str | int

    def __post_init__(self) -> None:
        if isinstance(self.freq, bool) or not isinstance(self.freq, (str, int)):
            raise SeriesError(f"freq is a pandas alias or a whole step, got {self.freq!r}")
        if isinstance(self.freq, int):
            if self.freq < 1:
                raise SeriesError(f"freq as a step is 1 or more, got {self.freq}")
            return
        try:
            pd.tseries.frequencies.to_offset(self.freq)
        except ValueError as error:
            raise SeriesError(
                f"freq is a pandas alias such as 'D', 'W-MON' or 'MS', got {self.freq!r}: {error}"
            ) from None

    def between(self, first: Any, last: Any) -> pd.Index:
        """All periods from ``first`` to ``last``."""
        if isinstance(self.freq, int):
            return pd.Index(np.arange(int(first), int(last) + 1, self.freq))
        return _dates_between(self.freq, first, last)

    def after(self, last: Any, count: int) -> pd.Index:
        """The ``count`` periods that follow ``last``."""
        if isinstance(self.freq, int):
            return pd.Index(int(last) + self.freq * np.arange(1, count + 1))
        return _dates_after(self.freq, last, count)


@dataclass(frozen=True)
class History:
    """One series on its grid: ``periods`` (dates or whole numbers) and ``y``, of one length."""

    name: str
    periods: pd.Index
    y: np.ndarray

    def until(self, count: int) -> History:
        """The first ``count`` periods."""
        return History(self.name, self.periods[:count], self.y[:count])


# Dates are slow to make, and thousands of series share theirs.
@lru_cache(maxsize=512)
def _dates_between(freq: str, first: Any, last: Any) -> pd.DatetimeIndex:
    return pd.date_range(first, last, freq=freq).as_unit("ns")


@lru_cache(maxsize=512)
def _dates_after(freq: str, last: Any, count: int) -> pd.DatetimeIndex:
    return pd.date_range(last, periods=count + 1, freq=freq).as_unit("ns")[1:]


def histories(frame: pd.DataFrame, grid: Grid, gaps: str) -> Iterator[History]:
    """The series of the frame in order of ``unique_id``.

    Raises SeriesError on missing columns, missing or infinite values, a period given twice, and
    periods off the grid; with gaps="refuse" on a missing period too.
    """
    for name, part in _checked(frame, grid).groupby("unique_id", sort=True):
        yield _regular(str(name), part["ds"], part["y"].to_numpy(dtype=np.float64), grid, gaps)


def natural_seasons(season_length: int, grid: Grid, n: int) -> list[float]:
    """Seasons in periods that a history of ``n`` periods shows once and a half.

    The one asked for, and those that its frequency brings: days have weeks and years, hours have
    days and weeks. A season of 52 weeks or 365 days is a calendar year, so it does not drift.
    """
    exact = {52: _YEAR / 7, 53: _YEAR / 7, 365: _YEAR, 366: _YEAR}
    seasons = {float(exact.get(season_length, season_length))}
    if isinstance(grid.freq, str):
        seasons |= {"D": {7.0, _YEAR}, "h": {24.0, 168.0}}.get(grid.freq, set())
    return sorted(s for s in seasons if s > 1 and n >= SHOWN * s)


def _checked(frame: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """The three columns, typed and sorted by series and period."""
    if not isinstance(frame, pd.DataFrame):
        raise SeriesError(f"expected a DataFrame with {COLUMNS}, got {type(frame).__name__}")
    lacking = [name for name in COLUMNS if name not in frame.columns]
    if lacking:
        raise SeriesError(
            f"columns {lacking} are missing; expected {list(COLUMNS)}, got {list(frame.columns)}"
        )
    if frame.empty:
        raise SeriesError("the frame has no rows: give at least one series with one period")
    found = frame.loc[:, list(COLUMNS)].copy()
    if found["unique_id"].isna().any() or found["ds"].isna().any():
        raise SeriesError("unique_id and ds may not be missing; drop or name these rows first")
    found["unique_id"] = found["unique_id"].astype(str)
    if isinstance(grid.freq, str):
        found["ds"] = pd.to_datetime(found["ds"]).dt.as_unit("ns")
    elif not pd.api.types.is_integer_dtype(found["ds"]):
        raise SeriesError(f"freq={grid.freq} counts whole numbers, but ds is {found['ds'].dtype}")
    if not pd.api.types.is_numeric_dtype(found["y"]):
        raise SeriesError(f"y must be numeric, got {found['y'].dtype}")
    wrong = found[~np.isfinite(found["y"].astype(float))]
    if len(wrong):
        raise SeriesError(
            f"y is missing or infinite in {len(wrong)} rows, first at {_place(wrong)}; leave such"
            " rows out, then `gaps` says what a missing period means"
        )
    twice = found[found.duplicated(["unique_id", "ds"])]
    if len(twice):
        raise SeriesError(
            f"{len(twice)} periods are given more than once, first {_place(twice)}; sum or drop"
            " repeats first"
        )
    return found.sort_values(["unique_id", "ds"], kind="stable")


def _regular(name: str, ds: pd.Series, y: np.ndarray, grid: Grid, gaps: str) -> History:
    given = pd.Index(ds)
    periods = grid.between(given[0], given[-1])
    at = periods.get_indexer(given)
    if (at < 0).any():
        raise SeriesError(
            f"{given[at < 0][0]} of series {name!r} is not a period of freq={grid.freq!r}"
            f" (which are {', '.join(str(p) for p in periods[:3])} …); aggregate to periods first"
        )
    if len(given) == len(periods):
        return History(name, periods, y)
    if gaps == "refuse":
        missing = periods.difference(given)
        raise SeriesError(
            f"series {name!r} lacks {len(missing)} periods, first {missing[0]}; fill them, or set"
            " gaps='zero' (no row means no demand) or gaps='interpolate' (no row means unknown)"
        )
    if gaps == "zero":
        filled = np.zeros(len(periods))
        filled[at] = y
    else:
        filled = np.interp(np.arange(len(periods)), at, y)
    return History(name, periods, filled)


def _place(rows: pd.DataFrame) -> str:
    return f"{rows['ds'].iloc[0]} of series {rows['unique_id'].iloc[0]!r}"
