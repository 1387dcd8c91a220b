"""NumPy columns to Arrow: fixed-width ids, dates with gaps, strings from a short list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.sources.sample.days import unix_days
from warehouse.sources.sample.streams import Bools, Ints


def ids(letters: str | np.ndarray, *parts: tuple[Ints, int]) -> pa.Array:
    """Ids of one width: a letter (or one byte a row), then each number padded with zeros.

    ``parts`` are (numbers of shape (rows,), digits). Numbers must fit their digits.
    """
    rows = len(parts[0][0])
    width = 1 + sum(digits for _, digits in parts)
    text = np.empty((rows, width), dtype=np.uint8)
    text[:, 0] = ord(letters) if isinstance(letters, str) else letters
    column = 1
    for numbers, digits in parts:
        rest = np.asarray(numbers, dtype=np.int64)
        for place in range(column + digits - 1, column - 1, -1):
            text[:, place] = 48 + rest % 10
            rest = rest // 10
        column += digits
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))
    )


def blank(values: pa.Array, missing: Bools) -> pa.Array:
    """The values, null where ``missing``."""
    return pc.if_else(pa.array(~missing), values, pa.scalar(None, values.type))


def dates(days: Ints, missing: Bools | None = None) -> pa.Array:
    """Firm days as date32, null where ``missing``."""
    unix = unix_days(np.asarray(days)).astype(np.int32)
    return pa.array(unix, mask=missing).cast(pa.date32())


def words(codes: Ints, names: Sequence[str]) -> pa.Array:
    """Strings by their place in ``names``."""
    return pa.array(list(names), type=pa.string()).take(pa.array(codes))
