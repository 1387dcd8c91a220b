"""What the past of each row says, nothing later: running quantiles, medians, near windows."""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np

_REFRESH = 50


def past_median(values: np.ndarray, window: int, least: int) -> np.ndarray:
    """Median of the ``window`` rows before each row, NaN below ``least`` known ones."""
    out = np.full(len(values), np.nan)
    rows = values.tolist()
    ordered: list[float] = []
    for at, value in enumerate(rows):
        if len(ordered) >= least:
            half, odd = divmod(len(ordered), 2)
            out[at] = ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2
        if value == value:
            insort(ordered, value)
        if at >= window and (gone := rows[at - window]) == gone:
            del ordered[bisect_left(ordered, gone)]
    return out


def row_median(values: np.ndarray) -> np.ndarray:
    """Median of the known values of each row, (rows, columns) to (rows,); NaN without any."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    rows, known = np.arange(len(ordered)), np.maximum(count, 1)
    middle = (ordered[rows, (known - 1) // 2] + ordered[rows, known // 2]) / 2
    return np.where(count > 0, middle, np.nan)


def last_known(values: np.ndarray) -> np.ndarray:
    """Each value, or the last one before it that is known, (rows,); NaN before the first."""
    places = np.where(np.isfinite(values), np.arange(len(values)), -1)
    latest = np.maximum.accumulate(places)
    return np.where(latest >= 0, values[latest], np.nan)


def earlier(values: np.ndarray, rows: int) -> np.ndarray:
    """The values of so many rows before, (rows,); NaN before the first."""
    out = np.full(len(values), np.nan)
    out[rows:] = values[: max(len(values) - rows, 0)]
    return out


def past_most(values: np.ndarray, window: int) -> np.ndarray:
    """The greatest of the ``window`` rows before each row, 0 where there is none."""
    if len(values) < 2:
        return np.zeros(len(values))
    padded = np.concatenate([np.full(window, -np.inf), values[:-1]])
    padded = np.where(np.isnan(padded), -np.inf, padded)
    most = np.lib.stride_tricks.sliding_window_view(padded, window).max(axis=1)
    return np.where(np.isfinite(most), most, 0.0)


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
