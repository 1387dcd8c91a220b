"""Scores each moment of a series against its own past, and says what the past would expect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from ml.estimators.series_past import (
    earlier,
    last_known,
    nearest_past_windows,
    next_refresh,
    past_median,
    past_most,
    past_quantiles,
    row_median,
)
from ml.estimators.times import times_of

if TYPE_CHECKING:
    import pandas as pd

_DAY = 86_400.0
_WARM_UP = 28
_MOST_BACK = 3 * 3600
_FIRST_LIMITS = 50  # rows before the first quantiles of the past
_HEAD = 20  # gaps between the first rows that tell the frequency
_FIRST_WINDOW = 118  # rows before the first distance to past windows


@dataclass(frozen=True)
class SeriesView:
    """Of each row (rows,): strength, where 1 is what one row in a hundred reached in the past, and
    what the past expects, in the unit of the values."""

    strength: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """In [0, 1]: 0.5 is a strength of 1."""
        return np.asarray(self.strength / (1.0 + self.strength))


class SeriesDetector:
    """Streaming anomaly scores of one series; needs no fit, each row is judged by its past alone.

    Series of many rows a day: the mean of three surprises, each measured against its own past
    hundredth: distance from the median of the last ``window`` rows, distance from the same time of
    the last three days, and distance of the last 19 values to the nearest windows of the past.
    Series by day or slower: distance from the median level and weekday of the past, and values that
    stand still where they never did. A surprise no greater than those of the last ``memory`` rows
    (7 where daily) is old news and counts a twentieth.
    """

    def __init__(self, window: int = 288, memory: int = 200, history: int = 5000) -> None:
        self.window = window
        self.memory = memory
        self.history = history

    def score(self, df: pd.DataFrame) -> np.ndarray:
        """df with observed_at (ascending) and value to scores in [0, 1], shape (rows,).

        0.5 is what one row in a hundred reached in the past; the first :meth:`warm_up` rows score
        0, as do missing values. Raises ValueError on missing columns or times out of order.
        """
        return self.judged(df)["score"].to_numpy()

    def expected(self, df: pd.DataFrame) -> pd.DataFrame:
        """What each row's past expects: expected_low, expected_high (NaN while warming up), in the
        unit of value, on df's index. About 98 rows in 100 lie within, where nothing changes."""
        return self.judged(df)[["expected_low", "expected_high"]]

    def judged(self, df: pd.DataFrame) -> pd.DataFrame:
        """:meth:`score` and :meth:`expected` at once, at the cost of one: score, expected_low and
        expected_high on df's index."""
        import pandas as pd

        view = self.view(*_read(df))
        return pd.DataFrame(
            {"score": view.score, "expected_low": view.low, "expected_high": view.high},
            index=df.index,
        )

    def warm_up(self, df: pd.DataFrame) -> int:
        """How many rows at the start of this series have too little past to score above 0: 28, or
        50 to 150 where there are many rows a day; all of a series no longer than 28."""
        times, _ = _read(df)
        if len(times) <= _WARM_UP:
            return len(times)
        day = _rows_a_day(times)
        if day is None:
            return _WARM_UP
        surprises = [self.window // 2, _FIRST_WINDOW, *([day] if day >= 3 else [])]
        return next_refresh(min(surprises), _FIRST_LIMITS)

    def save(self, folder: Path) -> None:
        """Write the options as JSON into ``folder``; nothing else is learned."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "series.json").write_text(json.dumps(vars(self), sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The detector that ``save`` wrote."""
        return cls(**json.loads((folder / "series.json").read_text()))

    def view(self, times: np.ndarray, values: np.ndarray) -> SeriesView:
        """:meth:`judged` of times (rows,), datetime64[s], ascending, and values (rows,), NaN where
        missing."""
        require_ascending(times)
        values = np.where(np.isfinite(values), values, np.nan)
        if len(values) <= _WARM_UP:
            nothing = np.full(len(values), np.nan)
            return SeriesView(np.zeros(len(values)), nothing, nothing)
        day = _rows_a_day(times)
        return _slow(times, values) if day is None else self._fast(values, day)

    def _fast(self, values: np.ndarray, day: int) -> SeriesView:
        filled = np.nan_to_num(last_known(values))
        centre = past_median(filled, self.window, self.window // 2)
        surprises = [np.abs(filled - centre)]
        seasonal = np.full(len(filled), np.nan)
        if day >= 3:
            seasonal = _same_time(filled, day)
            surprises.append(np.abs(filled - seasonal))
        surprises.append(nearest_past_windows(filled - filled[0], 19, 10, 1500))
        usual = past_quantiles(np.abs(filled), (0.5,), self.history, _FIRST_LIMITS)[:, 0]
        ratios, spreads = [], []
        for surprise in surprises:
            limits = past_quantiles(surprise, (0.5, 0.99), self.history, _FIRST_LIMITS)
            # Where the past hardly moved, two hundredths of its level count as no movement.
            reach = limits[:, 1] - limits[:, 0] + 0.02 * usual + 1e-9
            ratios.append(np.clip((surprise - limits[:, 0]) / reach, 0.0, 10.0))
            spreads.append(limits[:, 1])
        known = np.isfinite(ratios)
        total = np.where(known, ratios, 0.0).sum(axis=0)
        strength = total / np.maximum(known.sum(axis=0), 1)
        strength[np.isnan(values)] = 0.0
        middle, width = centre, spreads[0]
        if day >= 3:  # whichever has been closer lately gives the expectation
            closer = spreads[1] < spreads[0]
            middle = np.where(closer, seasonal, centre)
            width = np.where(closer, spreads[1], spreads[0])
        news = _news(strength, self.memory)
        return SeriesView(news, middle - width, middle + width)


def _read(df: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    lacking = [name for name in ("observed_at", "value") if name not in df.columns]
    if lacking:
        raise ValueError(
            f"the series lacks {lacking}; it needs observed_at and value, it has"
            f" {list(map(str, df.columns))}"
        )
    times = times_of(df["observed_at"]).to_numpy(dtype="datetime64[s]")
    return times, pd.to_numeric(df["value"]).to_numpy(dtype=np.float64, na_value=np.nan)


def require_ascending(times: np.ndarray) -> None:
    """Raises ValueError where times (rows,), datetime64[s], go back."""
    # Clocks put back (summer time, repairs) now and then repeat some hours; that is let through.
    steps = np.diff(times).astype(np.int64)
    backward = np.nonzero(steps < 0)[0]
    if len(backward) > max(2, len(steps) // 100) or (steps < -_MOST_BACK).any():
        at = int(backward[0]) + 1
        raise ValueError(
            f"observed_at must ascend: row {at} ({times[at]}) comes before row {at - 1}"
            f" ({times[at - 1]}); sort the series by observed_at"
        )


def _rows_a_day(times: np.ndarray) -> int | None:
    """Rows a day of a series with many, None by day or slower."""
    gap = float(np.median(np.diff(times[: _HEAD + 1]).astype("timedelta64[s]").astype(float)))
    return None if gap >= 0.5 * _DAY else round(_DAY / gap)


def _same_time(values: np.ndarray, day: int) -> np.ndarray:
    """Median of the same time on the three days before, of those there are."""
    return row_median(np.column_stack([earlier(values, day * back) for back in (1, 2, 3)]))


def _news(strength: np.ndarray, memory: int) -> np.ndarray:
    """Only what exceeds the last rows is news."""
    return np.where(strength > past_most(strength, memory), strength, 0.05 * strength)


def _slow(times: np.ndarray, values: np.ndarray) -> SeriesView:
    """By day or slower: level and weekday of the past, on a scale that is logarithmic where the
    values are far from 0 (the inverse hyperbolic sine), since business grows by factors."""
    head = np.abs(values[:_WARM_UP])
    unit = 0.05 * float(np.nanmedian(head)) if np.isfinite(head).any() else 1.0
    unit = unit if unit > 0 else 1.0
    y = np.arcsinh(values / unit)
    level = past_median(y, 28, 8)
    weekday = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7
    back = np.full((len(y), 8), np.nan)
    for day in range(7):
        mine = np.nonzero(weekday == day)[0]
        off = (y - level)[mine]
        back[mine] = np.column_stack([earlier(off, week) for week in range(1, 9)])
    centre = level + np.nan_to_num(row_median(back))
    drift = past_median(y - centre, 7, 4)
    centre = centre + np.nan_to_num(drift)
    error = y - centre
    spread = 1.4826 * past_median(np.abs(error), 120, 14)
    spread = np.maximum(spread, 0.005)
    with np.errstate(invalid="ignore"):
        strength = np.nan_to_num(np.abs(error) / (2.6 * spread))
    # A working day that looks like the last day of rest is a holiday sooner than a fault.
    rest = level + _last_of(y - level, weekday, 6) + np.nan_to_num(drift)
    with np.errstate(invalid="ignore"):
        holiday = (np.abs(y - rest) < 3.5 * spread) & (weekday < 5)
    strength = np.where(holiday, 0.3 * strength, strength)
    up, down = np.where(error > 0, strength, 0.0), np.where(error < 0, strength, 0.0)
    strength = _news(up, 7) + _news(down, 7)
    strength = np.maximum(strength, _standing_still(values))
    strength[:_WARM_UP] = 0.0
    strength[np.isnan(values)] = 0.0
    centre[:_WARM_UP] = np.nan
    low, high = (unit * np.sinh(centre + side * 2.6 * spread) for side in (-1.0, 1.0))
    return SeriesView(strength, low, high)


def _last_of(values: np.ndarray, weekday: np.ndarray, day: int) -> np.ndarray:
    """The values of the last such weekday before each row, NaN before the first."""
    return earlier(last_known(np.where(weekday == day, values, np.nan)), 1)


def _standing_still(values: np.ndarray) -> np.ndarray:
    """How odd it is that a value is exactly the one before, by how often that was so.

    A series that stands still from its warm-up on always did, and what stands still for longer
    than the warm-up has become usual: neither is an event.
    """
    same = np.r_[False, values[1:] == values[:-1]]
    before = np.cumsum(same) - same
    run = np.zeros(len(values))
    for at in np.nonzero(same)[0]:
        run[at] = run[at - 1] + 1
    began = np.arange(len(values)) - run
    # The repeats of the run itself say nothing of how usual repeats are.
    share = (np.maximum(before - np.maximum(run - 1, 0), 0) + 0.5) / (began + 1)
    event = same & (began >= _WARM_UP) & (run <= _WARM_UP)
    return np.where(event, run * -np.log(np.minimum(share, 1.0)) / 4.6, 0.0)
