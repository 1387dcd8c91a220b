"""What the past of each row says, nothing later: running quantiles, medians, near windows."""

from __future__ import annotations

import numpy as np
import pandas as pd

_REFRESH = 50


def past_median(values: np.ndarray, window: int, least: int) -> np.ndarray:
    """Median of the ``window`` rows before each row, NaN below ``least`` known ones."""
    rolled = pd.Series(values).rolling(window, min_periods=least).median()
    return rolled.shift(1).to_numpy(dtype=np.float64)


def past_most(values: np.ndarray, window: int) -> np.ndarray:
    """The greatest of the ``window`` rows before each row, 0 where there is none."""
    rolled = pd.Series(values).rolling(window, min_periods=1).max()
    return rolled.shift(1).fillna(0.0).to_numpy(dtype=np.float64)


def past_quantiles(
    values: np.ndarray, levels: tuple[float, ...], window: int, least: int
) -> np.ndarray:
    """Quantiles of the known values among the ``window`` rows before each row.

    Taken anew every 50 rows, so a row sees the past up to at most 50 rows ago. Shape (rows,
    levels); NaN until ``least`` values are known.
    """
    out = np.full((len(values), len(levels)), np.nan)
    for stop in range(least, len(values), _REFRESH):
        past = values[max(0, stop - window) : stop]
        past = past[np.isfinite(past)]
        if len(past) >= least // 2:
            out[stop : stop + _REFRESH] = np.quantile(past, levels)
    return out


def next_refresh(first: int, least: int) -> int:
    """The first row with :func:`past_quantiles` of values that are known from row ``first`` on."""
    behind = first + least // 2 - least
    return least + _REFRESH * max(0, -(-behind // _REFRESH))


def nearest_past_windows(values: np.ndarray, width: int, neighbours: int, most: int) -> np.ndarray:
    """Mean squared distance, as a root, of the last ``width`` values to the nearest past windows.

    Each row's window is compared with those that ended before it began, taken anew every 100
    rows, at most ``most`` of them at even steps. NaN until 20 of them are known. After the
    conformal nearest-neighbour detectors of Burnaev and Ishimtsev (2016).
    """
    out = np.full(len(values), np.nan)
    if len(values) < width + 100:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    for start in range(100, len(windows), 100):
        ended = start - width
        if ended < 20:
            continue
        chosen = (
            np.arange(ended) if ended <= most else np.linspace(0, ended - 1, most).astype(np.int64)
        )
        mine, theirs = windows[start : start + 100], windows[chosen]
        square = (
            (mine**2).sum(axis=1)[:, None]
            - 2.0 * mine @ theirs.T
            + (theirs**2).sum(axis=1)[None, :]
        )
        k = min(neighbours, len(chosen) - 1)
        near = np.partition(square, k, axis=1)[:, :k].mean(axis=1)
        out[start + width - 1 : start + width - 1 + len(mine)] = np.sqrt(np.maximum(near, 0.0))
    return out
