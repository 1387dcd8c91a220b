"""Arrow columns as PostgreSQL's binary COPY stream, a batch at a time and without Python rows.

A row is the number of its fields, then each field as its length and its bytes, all big-endian; a
missing field has the length -1. Arrow joins the pieces of all rows in one call, so the joined
array's data is the stream. (PostgreSQL documentation, COPY, "Binary Format".)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_MISSING = b"\xff\xff\xff\xff"
_DAYS_1970_TO_2000 = 10_957
_MICROSECONDS_A_DAY = 86_400_000_000


def rows(columns: list[pa.Array], constants: bytes, fields: int) -> pa.Buffer:
    """The rows as bytes: the fields of the columns, then the constants' fields, already encoded.

    ``fields`` counts both.
    """
    pieces: list[Any] = [pa.scalar(np.array(fields, ">i2").tobytes(), pa.large_binary())]
    for column in columns:
        pieces += _pieces(column)
    pieces.append(pa.scalar(constants, pa.large_binary()))
    joined = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    _, offsets, data = joined.buffers()
    first, last = np.frombuffer(offsets, np.int64)[[joined.offset, joined.offset + len(joined)]]
    return data.slice(first, last - first)


def field(column: pa.Array) -> bytes:
    """One value, an array of length 1, as a field of every row."""
    joined = pc.binary_join_element_wise(*_pieces(column), pa.scalar(b"", pa.large_binary()))
    encoded: bytes = joined[0].as_py()
    return encoded


def _pieces(column: pa.Array) -> list[pa.Array]:
    if pa.types.is_string(column.type):
        text = column.cast(pa.large_binary())
        lengths = pc.fill_null(pc.binary_length(text), -1)
        return [_fixed(lengths.to_numpy(zero_copy_only=False), ">i4"), pc.fill_null(text, b"")]
    numbers, form = _numbers(column)
    encoded = np.empty(len(numbers), [("length", ">i4"), ("value", form)])
    encoded["length"] = np.dtype(form).itemsize
    encoded["value"] = numbers
    fixed = _fixed(encoded, encoded.dtype)
    if column.null_count:
        fixed = pc.if_else(column.is_valid(), fixed, pa.scalar(_MISSING, pa.large_binary()))
    return [fixed]


def _numbers(column: pa.Array) -> tuple[np.ndarray[Any, Any], str]:
    """The values as numbers, anything where missing, and their form in the stream."""
    if pa.types.is_timestamp(column.type):
        since_1970 = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return since_1970 - _DAYS_1970_TO_2000 * _MICROSECONDS_A_DAY, ">i8"
    if pa.types.is_date(column.type):
        days = pc.fill_null(column.cast(pa.int32()), 0).to_numpy(zero_copy_only=False)
        return days - _DAYS_1970_TO_2000, ">i4"
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column, False).to_numpy(zero_copy_only=False), "?"
    if pa.types.is_floating(column.type):
        return pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False), ">f8"
    width = ">i4" if pa.types.is_int32(column.type) else ">i8"
    return pc.fill_null(column, 0).to_numpy(zero_copy_only=False), width


def _fixed(values: np.ndarray[Any, Any], form: Any) -> pa.Array:
    """Values of one size each as binary values, without a loop."""
    data = np.ascontiguousarray(values.astype(form))
    size = data.dtype.itemsize
    offsets = np.arange(0, (len(data) + 1) * size, size, dtype=np.int64)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(data), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
