"""What the lines next to a line paid: same item and quantity, same client, near in time.

A grouping is sorted once; the neighbours of any of its rows are then a window of the sorted prices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.estimators.leak_groups import Groups

# Small enough that the windows of a part stay in the processor's cache.
_PART = 8_192


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

    def take(self, at: np.ndarray) -> Neighbours:
        """Some of the rows."""
        return Neighbours(
            self.count[at],
            self.middle[at],
            self.least[at],
            self.share_lower[at],
            self.share_same[at],
        )


class Surroundings:
    """The prices of one grouping in its order, with the ``reach`` rows before and after a row.

    A row at no price says nothing of the price; it keeps its place and takes no part.
    """

    def __init__(self, groups: Groups, price: np.ndarray, reach: int) -> None:
        self.groups, self.reach, self.price = groups, reach, price
        self._sorted = np.full(len(price) + 2 * reach, np.nan)
        inner = self._sorted[reach : reach + len(price)]
        np.take(price, groups.order, out=inner)
        inner[~(inner > 0)] = np.nan

    def priced(self, price: np.ndarray) -> Surroundings:
        """The same rows at other prices."""
        return Surroundings(self.groups, price, self.reach)

    def of(self, rows: np.ndarray) -> Neighbours:
        """The neighbours of these rows, in their order."""
        out = [np.empty(len(rows)) for _ in range(5)]
        windows = np.lib.stride_tricks.sliding_window_view(self._sorted, 2 * self.reach + 1)
        steps = np.arange(-self.reach, self.reach + 1, dtype=np.int32)
        starts = self.groups.starts.astype(np.int32)
        # Neighbours in the order are neighbours in memory.
        by_place = np.argsort(self.groups.place[rows])
        for first in range(0, len(rows), _PART):
            part = by_place[first : first + _PART]
            place = self.groups.place[rows[part]]
            group = np.searchsorted(starts, place, side="right")
            near = windows[place]
            near[steps < (starts[group - 1] - place)[:, None]] = np.nan
            near[steps >= (starts[group] - place)[:, None]] = np.nan
            near[:, self.reach] = np.nan
            for column, values in zip(out, _summary(near, self.price[rows[part]]), strict=True):
                column[part] = values
        return Neighbours(*out)


def _summary(near: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, ...]:
    near.sort(axis=1)  # NaN sorts last
    count = np.isfinite(near).sum(axis=1)
    middle = near[np.arange(len(near)), np.maximum((count - 1) // 2, 0)]
    some = np.maximum(count, 1)
    tolerance = 1e-3 * np.abs(own) + 1e-9
    lower = (near < (own - tolerance)[:, None]).sum(axis=1) / some
    same = (np.abs(near - own[:, None]) <= tolerance[:, None]).sum(axis=1) / some
    empty = count == 0
    lower[empty], same[empty] = np.nan, np.nan
    return count.astype(np.float64), middle, near[:, 0], lower, same


class Nearby:
    """How many other rows of its group lie within some days of a row."""

    def __init__(self, groups: Groups, day: np.ndarray, reach_days: int) -> None:
        first = int(day.min()) if len(day) else 0
        self.groups, self.reach, self.day = groups, reach_days, day
        self._wide = (int(day.max()) if len(day) else 0) - first + 2 * reach_days + 2
        self._shift = reach_days - first
        self._keys = groups.number_sorted().astype(np.int64) * self._wide
        self._keys += day[groups.order]
        self._keys += self._shift

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The counts of these rows, in their order, as floats."""
        by_place = np.argsort(self.groups.place[rows])
        sorted_ = rows[by_place]
        keys = self.groups.of(sorted_) * self._wide + self.day[sorted_] + self._shift
        after = np.searchsorted(self._keys, keys + self.reach, side="right")
        before = np.searchsorted(self._keys, keys - self.reach, side="left")
        out = np.empty(len(rows))
        out[by_place] = after - before - 1
        return out
