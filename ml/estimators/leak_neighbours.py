"""What the lines next to a line paid: same item and quantity, same client, near in time.

Everything is one sort and a handful of shifted reads, so that ten million lines need no loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CHUNK = 200_000


@dataclass(frozen=True)
class Neighbours:
    """Of each row its nearest neighbours' prices, itself left out; NaN where it has none.

    ``middle`` is their median, ``least`` the lowest, ``share_lower`` the share strictly below the
    row's own price, ``share_same`` the share at it (to a thousandth), ``count`` how many.
    """

    count: np.ndarray
    middle: np.ndarray
    least: np.ndarray
    share_lower: np.ndarray
    share_same: np.ndarray


def neighbours(
    group: np.ndarray, day: np.ndarray, price: np.ndarray, use: np.ndarray, reach: int
) -> Neighbours:
    """The ``reach`` rows before and after each row in its group, by day.

    ``use`` marks rows that may serve as neighbours (a line at zero price says nothing of the
    price). All arrays have shape (rows,).
    """
    rows = len(group)
    out = [np.zeros(rows), *(np.full(rows, np.nan) for _ in range(4))]
    order = np.lexsort((day, group))
    groups, prices = group[order], np.where(use, price, np.nan)[order]
    own = price[order]
    steps = np.array([step for step in range(-reach, reach + 1) if step])
    for start in range(0, rows, _CHUNK):
        at = np.arange(start, min(start + _CHUNK, rows))
        beside = at[:, None] + steps[None, :]
        inside = (beside >= 0) & (beside < rows)
        beside = np.where(inside, beside, 0)
        inside &= groups[beside] == groups[at][:, None]
        near = np.where(inside, prices[beside], np.nan)
        for column, values in zip(out, _summary(near, own[at]), strict=True):
            column[order[at]] = values
    return Neighbours(*out)


def _summary(near: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, ...]:
    near = np.sort(near, axis=1)  # NaN sorts last
    count = np.isfinite(near).sum(axis=1)
    middle = near[np.arange(len(near)), np.maximum((count - 1) // 2, 0)]
    some = np.maximum(count, 1)
    tolerance = 1e-3 * np.abs(own) + 1e-9
    lower = (near < (own - tolerance)[:, None]).sum(axis=1) / some
    same = (np.abs(near - own[:, None]) <= tolerance[:, None]).sum(axis=1) / some
    empty = count == 0
    lower[empty], same[empty] = np.nan, np.nan
    return count.astype(np.float64), middle, near[:, 0], lower, same


def nearby_count(group: np.ndarray, day: np.ndarray, reach_days: int) -> np.ndarray:
    """How many other rows of its group lie within ``reach_days`` of each row, shape (rows,)."""
    if not len(group):
        return np.zeros(0)
    day = day - day.min()
    wide = int(day.max()) + 2 * reach_days + 2
    keys = group.astype(np.int64) * wide + day + reach_days
    ordered = np.sort(keys)
    after = np.searchsorted(ordered, keys + reach_days, side="right")
    before = np.searchsorted(ordered, keys - reach_days, side="left")
    return (after - before - 1).astype(np.float64)


def group_codes(*parts: np.ndarray) -> np.ndarray:
    """One int64 code for each distinct combination of the integer arrays, shape (rows,)."""
    code = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        shifted = part.astype(np.int64) - (part.min() if len(part) else 0)
        width = int(shifted.max()) + 1 if len(part) else 1
        code = code * width + shifted
        code = np.unique(code, return_inverse=True)[1].astype(np.int64)
    return code


def others_mean(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The mean of ``value`` over the other rows of the group, NaN where there is none.

    NaN values take no part.
    """
    known = np.isfinite(value)
    filled = np.where(known, value, 0.0)
    size = int(group.max()) + 1 if len(group) else 0
    total = np.bincount(group, weights=filled, minlength=size)[group] - filled
    count = np.bincount(group, weights=known, minlength=size)[group] - known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
