"""Versioned tables at a date: the row that holds, and its columns as they were known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.features.events import OWN_DATED
from ml.features.extract import NEVER, Ids, as_days, knowledge, with_int_days


class StateTable:
    """A small table with at most one valid row of an entity at a time (of several: the newest).

    ``entity`` holds each row's final entity number, which the engine sets once ids are sorted.
    """

    def __init__(self, name: str, table: Any, entity: str, ids: Ids) -> None:
        self.name = name
        self.raw: pa.Table = table if isinstance(table, pa.Table) else table.to_table()
        self._days = with_int_days(self.raw)
        self._start, self._end = knowledge(self._days)
        self.entity = ids.encode(self.raw[entity])

    def set_order(self, rank: npt.NDArray[np.int32]) -> None:
        """Number entities by rank and sort row versions by entity and first day."""
        entity = np.append(rank, np.int32(-1))[self.entity]
        self._order = np.lexsort((self._start, entity))
        self._order = self._order[entity[self._order] >= 0]
        self.entity = entity[self._order]

    def rows_at(self, dates: npt.NDArray[np.int32], first: int, size: int) -> npt.NDArray[np.int64]:
        """Row numbers, -1 for none, of shape (dates, size) for entities from ``first`` on."""
        lower, upper = np.searchsorted(self.entity, [first, first + size])
        rows = self._order[lower:upper]
        entity = self.entity[lower:upper] - first
        found = np.full((len(dates), size), -1, np.int64)
        for index, date in enumerate(dates):
            valid = (self._start[rows] <= date) & (date < self._end[rows])
            found[index, entity[valid]] = rows[valid]
        return found

    def column(
        self, name: str, rows: npt.NDArray[np.int64], days: npt.NDArray[np.int32]
    ) -> pa.Array:
        """A column at row numbers, each as known on its own day: text, or float64."""
        if name not in self.raw.column_names:
            raise ValueError(
                f"attribute {name!r} is not in table {self.name!r}: it has {self.raw.column_names}"
            )
        hidden = rows < 0
        own = OWN_DATED.get(self.name, {}).get(name)
        if own is not None and own in self.raw.column_names:
            there = ~hidden
            hidden[there] = as_days(self._days[own], NEVER)[rows[there]] > days[there]
        taken = self._days[name].combine_chunks().take(pa.array(rows, mask=hidden))
        kind = self.raw.schema.field(name).type
        if (
            pa.types.is_dictionary(kind)
            or pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
        ):
            return pc.cast(taken, pa.large_string())
        if pa.types.is_temporal(kind):
            return pc.cast(pc.subtract(pa.array(days), taken), pa.float64())
        return pc.cast(taken, pa.float64(), safe=False)
