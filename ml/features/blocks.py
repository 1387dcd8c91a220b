"""Exact aggregates of one block of entities at many dates at once.

Every window edge of every date is known in advance. Days are digitised into the segments between
edges, values are added into a dense (segments, entities) array of int64, and its running sum
along the segments answers every window as a difference of two rows. Events that become known
late, or stop holding, are added for each date by a direct filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.features.extract import ALWAYS, Columns, first_edge
from ml.features.requests import (
    NO_DAY,
    Distinct,
    Extreme,
    Request,
    Total,
    Window,
    WindowDistinct,
    WindowTotal,
)

MOST_CELLS = 1 << 20
"""Pairs of entity and value up to which each has a place, at 4 bytes a date, whether it occurs or
not."""

Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.int32]


def edges_of(windows: Iterable[Window], dates: Days) -> Days:
    """Sorted days at which some window of some date begins or ends."""
    backs = {back for window in windows for back in (window.oldest, window.newest)} - {None}
    return np.unique(np.concatenate([dates - np.int32(back or 0) for back in {0} | backs]))


class EventBlock:
    """The events of one event table that belong to ``size`` entities numbered from 0."""

    def __init__(self, steady: Columns, late: Columns, size: int, dates: Days) -> None:
        self.steady, self.late, self.size, self.dates = steady, late, size, dates
        self._masks: list[npt.NDArray[np.bool_]] = []

    def answer(self, requests: Iterable[Request]) -> dict[Request, npt.NDArray[Any]]:
        """All requests over this event table; arrays of shape (dates, entities)."""
        totals: dict[Total, list[WindowTotal]] = {}
        distincts: dict[Distinct, list[WindowDistinct]] = {}
        answers: dict[Request, npt.NDArray[Any]] = {}
        for request in requests:
            if isinstance(request, WindowTotal):
                totals.setdefault(request.total, []).append(request)
            elif isinstance(request, WindowDistinct):
                distincts.setdefault(request.distinct, []).append(request)
            elif isinstance(request, Extreme):
                answers[request] = self._extreme(request)
        answers |= self._totals(totals)
        for distinct, over in distincts.items():
            answers |= self._distinct(distinct, over)
        return answers

    def _totals(self, totals: Mapping[Total, list[WindowTotal]]) -> dict[Request, Ints]:
        edges = edges_of((r.window for group in totals.values() for r in group), self.dates)
        segment = first_edge(edges, self.steady["day"]) * self.size + self.steady["entity"]
        answers: dict[Request, Ints] = {}
        for total, requests in totals.items():
            if total.kind == "days":
                answers |= self._active_days(total, requests, edges)
                continue
            rows, amounts = _chosen(self.steady, total)
            cells = segment if rows is None else segment[rows]
            running = self._running(cells, amounts, len(edges))
            for request in requests:
                answers[request] = _windowed(running, edges, self.dates, request.window)
            rows, amounts = _chosen(self.late, total)
            entity, day = (
                self.late[c] if rows is None else self.late[c][rows] for c in ("entity", "day")
            )
            for index, mask in enumerate(self._seen()):
                seen = mask if rows is None else mask[rows]
                some = None if amounts is None else amounts[seen]
                self._add_late(answers, requests, index, entity[seen], day[seen], some)
        return answers

    def _running(self, cells: Ints, amounts: Ints | None, segments: int) -> Ints:
        """Running sums along segments; row 0 is zero, row i+1 sums up to edge i."""
        dense = np.zeros((segments + 1, self.size), np.int64)
        flat = dense[1:].reshape(-1)
        if amounts is None:
            flat += np.bincount(cells, minlength=flat.size)
        else:
            np.add.at(flat, cells, amounts)
        for index in range(1, segments + 1):
            dense[index] += dense[index - 1]
        return dense

    def _add_late(
        self,
        answers: dict[Request, Ints],
        requests: list[WindowTotal],
        index: int,
        entity: npt.NDArray[Any],
        day: Days,
        amounts: Ints | None,
    ) -> None:
        date = self.dates[index : index + 1]
        edges = edges_of((request.window for request in requests), date)
        cells = first_edge(edges, day) * self.size + entity
        running = self._running(cells, amounts, len(edges))
        for request in requests:
            answers[request][index] += _windowed(running, edges, date, request.window)[0]

    def _seen(self) -> list[npt.NDArray[np.bool_]]:
        """For each date a mask of the late events that count then; none where nothing is late."""
        if not self._masks and len(self.late["day"]):
            day, start, end = (self.late[name] for name in ("day", "start", "end"))
            self._masks = [(day <= d) & (start <= d) & (d < end) for d in self.dates]
        return self._masks

    def _seen_of(self, where: str | None) -> list[npt.NDArray[np.bool_]]:
        """The same masks, over the late events that ``where`` chooses."""
        if where is None:
            return self._seen()
        return [mask[self.late[f"flag:{where}"]] for mask in self._seen()]

    def _active_days(
        self, total: Total, requests: list[WindowTotal], edges: Days
    ) -> dict[Request, Ints]:
        """Distinct (entity, day) pairs through a bitmap; late ones count where the bit is unset."""
        steady, late = (_filtered(rows, total.where) for rows in (self.steady, self.late))
        days = np.concatenate([steady["day"], late["day"]])
        first = days.min() if len(days) else np.int32(0)
        span = int(days.max() - first) + 1 if len(days) else 1
        bitmap = np.zeros(self.size * span, np.bool_)
        bitmap[_pairs(steady, first, span)] = True
        pairs = np.flatnonzero(bitmap)
        cells = first_edge(edges, (pairs % span + first).astype(np.int32)) * self.size
        running = self._running(cells + pairs // span, None, len(edges))
        answers: dict[Request, Ints] = {
            request: _windowed(running, edges, self.dates, request.window) for request in requests
        }
        late_pairs = _pairs(late, first, span)
        for index, seen in enumerate(self._seen_of(total.where)):
            pairs = np.unique(late_pairs[seen])
            pairs = pairs[~bitmap[pairs]]
            day = (pairs % span + first).astype(np.int32)
            self._add_late(answers, requests, index, pairs // span, day, None)
        return answers

    def _extreme(self, request: Extreme) -> Days:
        steady, late = (_filtered(rows, request.where) for rows in (self.steady, self.late))
        found = self._last_days(steady, steady["entity"], self.size, request.which == "first")
        day = ~late["day"] if request.which == "first" else late["day"]
        for index, seen in enumerate(self._seen_of(request.where)):
            np.maximum.at(found[index], late["entity"][seen], day[seen])
        return ~found if request.which == "first" else found

    def _last_days(self, rows: Columns, group: Any, groups: int, mirrored: bool = False) -> Days:
        """Latest day by group up to each date; mirrored: of ~day, so the earliest."""
        found = np.full((len(self.dates), groups), NO_DAY, np.int32)
        cells = first_edge(self.dates, rows["day"]) * groups + group
        np.maximum.at(found.reshape(-1), cells, ~rows["day"] if mirrored else rows["day"])
        return np.maximum.accumulate(found, axis=0, out=found)

    def _distinct(self, distinct: Distinct, requests: list[WindowDistinct]) -> dict[Request, Ints]:
        """A value counts in a window if the last day of its (entity, value) pair lies inside."""
        key = f"code:{distinct.column}"
        steady, late = (_filtered(rows, distinct.where) for rows in (self.steady, self.late))
        values = 1 + max(int(rows[key].max(initial=-1)) for rows in (steady, late))
        # Row 0 of the grid is of rows without a value, which count for nothing.
        cells = np.concatenate(
            [
                (rows[key] + 1).astype(np.int64) * self.size + rows["entity"]
                for rows in (steady, late)
            ]
        )
        grid = (values + 1) * self.size
        owner: Ints | None = None
        if grid > min(len(cells), MOST_CELLS):  # only the pairs that occur get a place
            cells, pairs = pd.factorize(cells)
            owner = np.where(pairs < self.size, self.size, pairs % self.size)
            grid = len(pairs)
        last = self._last_days(steady, cells[: len(steady["day"])], grid)
        late_cells = cells[len(steady["day"]) :]
        for index, seen in enumerate(self._seen_of(distinct.where)):
            np.maximum.at(last[index], late_cells[seen], late["day"][seen])
        answers: dict[Request, Ints] = {}
        for request in requests:
            found = np.empty((len(self.dates), self.size), np.int64)
            for index, date in enumerate(self.dates):
                oldest = ALWAYS if request.days is None else date - np.int32(request.days)
                inside = last[index] > oldest
                if owner is None:
                    found[index] = np.count_nonzero(inside.reshape(-1, self.size)[1:], axis=0)
                else:
                    found[index] = np.bincount(owner[inside], minlength=self.size + 1)[:-1]
            answers[request] = found
        return answers


def _windowed(running: Ints, edges: Days, dates: Days, window: Window) -> Ints:
    """Sums over ``(date - oldest, date - newest]`` for each date."""
    newest = np.searchsorted(edges, dates - np.int32(window.newest)) + 1
    if window.oldest is None:
        return np.asarray(running[newest], np.int64)
    oldest = np.searchsorted(edges, dates - np.int32(window.oldest)) + 1
    return np.asarray(running[newest] - running[oldest], np.int64)


def _pairs(rows: Columns, first: np.int32, span: int) -> Ints:
    return np.asarray(rows["entity"].astype(np.int64) * span + (rows["day"] - first), np.int64)


def _filtered(rows: Columns, where: str | None) -> Columns:
    """Entities, days and codes of the events that ``where`` chooses."""
    if where is None:
        return rows
    chosen = rows[f"flag:{where}"]
    used = [name for name in rows if name in ("entity", "day") or name.startswith("code:")]
    return {name: rows[name][chosen] for name in used}


def _chosen(rows: Columns, total: Total) -> tuple[npt.NDArray[np.bool_] | None, Ints | None]:
    """The mask of rows that count (None: all) and their amounts (None: one each)."""
    mask: npt.NDArray[np.bool_] | None = None
    if total.where is not None:
        mask = rows[f"flag:{total.where}"]
    if total.kind == "count":
        if total.column is not None:
            valid = rows[f"valid:{total.column}"]
            mask = valid if mask is None else mask & valid
        return mask, None
    amounts = rows[f"sum:{total.column}"]
    return mask, amounts if mask is None else amounts[mask]
