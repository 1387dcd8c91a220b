"""From the Arrow columns of a table of questions to numpy, as a model's serving form takes them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.jobs.questions import ColumnPath, literal
from ml.serving.columns import Numbers, Path, Texts

_IN_NUMBERS = np.zeros(256, dtype=bool)
_IN_NUMBERS[list(b"0123456789+-.eE")] = True
"""The bytes of which a text is made that ``literal`` reads as a number."""


def columns_of(
    table: pa.Table, paths: Iterable[ColumnPath]
) -> tuple[dict[Path, Numbers | Texts], np.ndarray]:
    """The numbers and texts of a table by path, and the rows (rows,) that hold anything else.

    What the columns say of the other rows is what ``questions`` would say of them.
    """
    found: dict[Path, Numbers | Texts] = {}
    left = np.zeros(table.num_rows, dtype=bool)
    for name, path, reads in paths:
        chunked = table[name]
        column = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
        if reads:
            found[path], odd = _numbers_in(column)
        elif pa.types.is_string(column.type):
            found[path], odd = _texts(column), None
        elif _is_number(column.type):
            found[path], odd = _numbers(column)
        else:
            odd = _valid(column)
        if odd is not None:
            left |= odd
    return found, left


def _is_number(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            *(pa.types.is_float64, pa.types.is_float32),
            *(pa.types.is_integer, pa.types.is_boolean),
        )
    )


def _texts(column: pa.Array) -> Texts:
    coded = column.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    places = coded.indices.fill_null(-1).to_numpy()
    if "" in distinct:
        places = np.where(places == distinct.index(""), -1, places)
    return Texts(distinct, places)


def _numbers(column: pa.Array) -> tuple[Numbers, np.ndarray | None]:
    """Numbers, and the rows of those that are not finite."""
    kind: type[float] = float
    if pa.types.is_boolean(column.type):
        kind = bool
    elif pa.types.is_integer(column.type):
        kind = int
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return _finite(values, kind, column)


def _numbers_in(texts: pa.Array) -> tuple[Numbers, np.ndarray | None]:
    """The numbers that texts read like, and the rows that say something else.

    Arrow's grammar of a number is that of ``literal`` but for nan and inf.
    """
    try:
        values = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return _numbers_among(texts)
    return _finite(values, float, texts)


def _numbers_among(texts: pa.Array) -> tuple[Numbers, np.ndarray | None]:
    """The same of texts that are not all numbers."""
    said = _valid(texts) & (pc.binary_length(texts).fill_null(0).to_numpy() > 0)
    plain = said & ~_with_other_bytes(texts)
    try:
        numbers = pc.if_else(pa.array(plain), texts, None).cast(pa.float64())
    except pa.ArrowInvalid:  # a date, a dash: one by one
        cells = [literal(text) if text else None for text in texts.to_pylist()]
        numbers = pa.array([one if isinstance(one, float) else None for one in cells], pa.float64())
    values = numbers.to_numpy(zero_copy_only=False)
    return Numbers(np.where(np.isfinite(values), values, np.nan), float), said & ~np.isfinite(
        values
    )


def _finite(
    values: np.ndarray, kind: type[float], column: pa.Array
) -> tuple[Numbers, np.ndarray | None]:
    """Values as numbers, and where the column has one that is not finite."""
    unknown = ~np.isfinite(values)
    if int(unknown.sum()) == column.null_count:
        return Numbers(values, kind), None
    return Numbers(np.where(unknown, np.nan, values), kind), unknown & _valid(column)


def _with_other_bytes(texts: pa.StringArray) -> np.ndarray:
    """Which texts hold a byte that no number has, (rows,)."""
    _, offsets, data = texts.buffers()
    first = texts.offset
    ends = np.frombuffer(offsets, np.int32)[first : first + len(texts) + 1]
    given = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    found = np.zeros(len(texts), dtype=bool)
    others = np.flatnonzero(~_IN_NUMBERS[given]) + ends[0]
    found[np.searchsorted(ends, others, side="right") - 1] = True
    return found


def _valid(column: pa.Array) -> np.ndarray:
    """Which cells are not null, (rows,)."""
    return column.is_valid().to_numpy(zero_copy_only=False)
