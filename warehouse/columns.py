"""Columns of any origin as Arrow columns of a table's own types, or refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Table

from warehouse.arrow_types import ARROW
from warehouse.types import kind_of


def arrow_type(column: Column[Any]) -> pa.DataType:
    """The Arrow type that holds the column's values exactly."""
    return ARROW[kind_of(column.type)]


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
        array = _as_array(values)
        if pa.types.is_floating(array.type):
            array = _without_nan(where, array)
        if array.null_count == len(array):
            # Of no type, whatever pandas says: an empty column of texts is one of floats there.
            array = pa.chunked_array([pa.nulls(len(array))])
        if not any(fits(array.type) for fits in _from[wanted.id]):
            raise ValueError(f"{where} holds {wanted} values, got {array.type}")
        if pa.types.is_timestamp(array.type) and pa.types.is_timestamp(wanted):
            _refuse_other_zone(where, array.type, wanted)
        array = array.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{where} holds {wanted} values: {error}") from None
    if not column.nullable and array.null_count:
        raise ValueError(f"{where} is required; {array.null_count} of {len(array)} are missing")
    if pa.types.is_string(wanted) and pc.any(pc.match_substring(array, "\0")).as_py():
        raise ValueError(
            f"{where}: a text holds a NUL character, which databases cannot store; remove it"
        )
    return array


_is = pa.types
_numbers = (_is.is_integer, _is.is_floating, _is.is_decimal, _is.is_null)
# Arrow would also cast 1 to "1", "1" to 1.0 and 2 to true, which is never what was meant.
_from = {
    pa.string().id: (_is.is_string, _is.is_large_string, _is.is_string_view, _is.is_null),
    pa.bool_().id: (_is.is_boolean, _is.is_null),
    pa.int32().id: _numbers,
    pa.int64().id: _numbers,
    pa.float64().id: _numbers,
    pa.date32().id: (_is.is_date, _is.is_timestamp, _is.is_null),
    pa.timestamp("us").id: (_is.is_timestamp, _is.is_date, _is.is_null),
}


def _as_array(values: Any) -> pa.ChunkedArray:
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, from_pandas=True)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def _refuse_other_zone(where: str, given: pa.TimestampType, wanted: pa.TimestampType) -> None:
    if (given.tz is None) != (wanted.tz is None):
        raise ValueError(
            f"{where} holds {'instants' if wanted.tz else 'local times'}, got times"
            f" {'without' if wanted.tz else 'with'} a time zone"
        )


def _without_nan(where: str, array: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.is_inf(array)).as_py():
        raise ValueError(f"{where}: a number is infinite; give a finite one or none")
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
