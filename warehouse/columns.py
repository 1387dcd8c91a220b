"""Columns of any origin as Arrow columns of a table's own types, or refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Float, Integer, Table

from warehouse.types import UtcDateTime


def arrow_type(column: Column[Any]) -> pa.DataType:
    """The Arrow type that holds the column's values exactly."""
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return pa.timestamp("us", "UTC")
    for sql, arrow in (
        (JSON, pa.string()),
        (Boolean, pa.bool_()),
        (Integer, pa.int64()),
        (Float, pa.float64()),
        (DateTime, pa.timestamp("us")),
        (Date, pa.date32()),
    ):
        if isinstance(kind, sql):
            return arrow
    return pa.string()


def arrow_table(
    table: Table, rows: pa.Table | Mapping[str, Sequence[Any]], given: Collection[str] = ()
) -> pa.Table:
    """The rows with the table's types; ``given`` are columns that come from elsewhere.

    Raises ValueError naming the column: one the table lacks, one given twice, one that is
    required and absent, or a value that its column cannot hold.
    """
    names = list(rows.column_names if isinstance(rows, pa.Table) else rows)
    if unknown := [name for name in (*names, *given) if name not in table.c]:
        raise ValueError(
            f"{table.name} has no column {', '.join(map(repr, unknown))};"
            f" it has {', '.join(table.c.keys())}"
        )
    if twice := sorted(set(names) & set(given)):
        raise ValueError(f"{table.name}: {twice} are given as columns and as constants; give one")
    needed = [c.name for c in table.c if not c.nullable and c.autoincrement is not True]
    if absent := [name for name in needed if name not in names and name not in given]:
        raise ValueError(f"{table.name}: the columns {absent} are required and not given")
    return pa.table({name: arrow_column(table.c[name], rows[name]) for name in names})


def arrow_column(column: Column[Any], values: Any) -> pa.ChunkedArray:
    """The values in the column's Arrow type: NaN as null, anything that would not fit refused."""
    wanted = arrow_type(column)
    where = f"{column.table.name}.{column.name}"
    try:
        array = _as_array(values, wanted)
        if pa.types.is_floating(array.type):
            array = _without_nan(where, array)
        if pa.types.is_timestamp(array.type) and (array.type.tz is None) != (wanted.tz is None):
            raise ValueError(
                f"{where} holds {'instants' if wanted.tz else 'local times'}, got times"
                f" {'without' if wanted.tz else 'with'} a time zone"
            )
        array = array.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{where} holds {wanted} values and got others: {error}") from None
    if not column.nullable and array.null_count:
        raise ValueError(f"{where} is required; {array.null_count} of {len(array)} are missing")
    if pa.types.is_string(wanted) and pc.any(pc.match_substring(array, "\0")).as_py():
        raise ValueError(
            f"{where}: a text holds a NUL character, which databases cannot store; remove it"
        )
    return array


def _as_array(values: Any, wanted: pa.DataType) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    if not isinstance(values, pa.Array):
        # Guessing a type from Python values fails where all are missing or ints meet floats.
        plain = isinstance(values, list | tuple)
        values = pa.array(values, type=wanted if plain else None, from_pandas=True)
    return pa.chunked_array([values])


def _without_nan(where: str, array: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.is_inf(array)).as_py():
        raise ValueError(f"{where}: a number is infinite; give a finite one or none")
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
