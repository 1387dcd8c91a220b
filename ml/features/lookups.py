"""As-of join of a small versioned table to events, each at its own day."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.features.events import Lookup

_SHIFT = 1 << 32


class AsOfLookup:
    """Row versions sorted by key and first day; the latest that holds on a day is found by search.

    ``starts`` and ``ends`` are int32 days as ``extract.knowledge`` gives them.
    """

    def __init__(
        self,
        lookup: Lookup,
        table: pa.Table,
        starts: npt.NDArray[np.int32],
        ends: npt.NDArray[np.int32],
        ids: Any,
    ) -> None:
        missing = [name for name in (lookup.key, *lookup.columns) if name not in table.column_names]
        if missing:
            raise ValueError(
                f"lookup in table {lookup.table!r} needs {missing}; it has {table.column_names}"
            )
        self._lookup, self._ids = lookup, ids
        codes = ids.encode(table[lookup.key]).astype(np.int64)
        order = np.lexsort((starts, codes))
        self._keys = (codes * _SHIFT + starts)[order]
        self._codes, self._ends = codes[order], ends[order]
        self._rows = table.select(list(lookup.columns)).take(pa.array(order))

    def join(self, table: pa.Table, day: npt.NDArray[np.int32]) -> pa.Table:
        """``table`` with the lookup's columns appended, null where nothing was known that day."""
        codes = self._ids.encode(table[self._lookup.key]).astype(np.int64)
        found = np.searchsorted(self._keys, codes * _SHIFT + day, side="right") - 1
        inside = np.maximum(found, 0)
        known = np.zeros(len(found), bool)
        if len(self._keys):
            known = (found >= 0) & (self._codes[inside] == codes) & (self._ends[inside] > day)
        known &= codes >= 0
        rows = self._rows.take(pa.array(inside, mask=~known))
        for name in self._lookup.columns:
            if name in table.column_names:
                raise ValueError(
                    f"lookup column {name!r} of {self._lookup.table!r} is in the table already; "
                    "rename one of them"
                )
            table = table.append_column(name, rows[name])
        return table
