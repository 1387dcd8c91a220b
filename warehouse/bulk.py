"""Bulk writes through SQLAlchemy's own connection: executemany on SQLite, COPY on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, String, Table, and_, delete
from sqlalchemy.types import TypeEngine

from warehouse import faults, pgcopy
from warehouse.columns import arrow_column, arrow_table
from warehouse.database import is_postgres

_ROWS_AT_ONCE = 50_000
_ROWS_A_COPY = 20_000


def replace_partition(
    connection: Connection,
    table: Table,
    where: Mapping[str, Any],
    rows: pa.Table | Mapping[str, Sequence[Any]],
    constants: Mapping[str, Any] | None = None,
) -> int:
    """Replace the rows whose columns equal ``where`` by ``rows``, in the caller's transaction.

    ``rows`` holds columns by name (JSON ones as text); ``where`` and ``constants`` are columns
    that are the same in every row. Columns not given are NULL. NaN is stored as NULL. Returns how
    many rows were written.

    Raises ValueError naming the column: one the table lacks, a value of another type, an infinite
    number, a text with a NUL character, a missing value where one is required.
    """
    fixed = {**(constants or {}), **where}
    data = arrow_table(table, rows, given=fixed)
    # Both release the interpreter, so the rows are put in order while the old ones go.
    with ThreadPoolExecutor(max_workers=1) as pool:
        in_order = pool.submit(_in_key_order, table, data)
        connection.execute(delete(table).where(and_(*(table.c[c] == v for c, v in where.items()))))
    return _insert(connection, table, in_order.result(), fixed)


def insert(
    connection: Connection,
    table: Table,
    rows: pa.Table | Mapping[str, Sequence[Any]],
    constants: Mapping[str, Any] | None = None,
) -> int:
    """Insert ``rows`` in the caller's transaction; arguments and errors as in replace_partition."""
    fixed = dict(constants or {})
    data = arrow_table(table, rows, given=fixed)
    return _insert(connection, table, _in_key_order(table, data), fixed)


def _insert(
    connection: Connection, table: Table, data: pa.Table, constants: Mapping[str, Any]
) -> int:
    if data.num_rows == 0:
        return 0
    if is_postgres(connection):
        _copy(connection, table, data, constants)
    else:
        _executemany(connection, table, data, constants)
    return int(data.num_rows)


def _in_key_order(table: Table, data: pa.Table) -> pa.Table:
    """The rows in the order of the b-tree, three times as fast to insert as at random."""
    order = [column.name for column in table.primary_key if column.name in data.column_names]
    if not order or _ascends(data[order[0]]):
        return data
    return data.sort_by([(name, "ascending") for name in order])


def _ascends(column: pa.ChunkedArray) -> bool:
    if len(column) < 2:
        return True
    return bool(pc.all(pc.less_equal(column[:-1], column[1:])).as_py())


def _copy(
    connection: Connection, table: Table, data: pa.Table, constants: Mapping[str, Any]
) -> None:
    """COPY in the binary form, which the server need not parse."""
    from psycopg.copy import QueuedLibpqWriter

    names = [*data.column_names, *constants]
    fixed = b"".join(
        pgcopy.field(arrow_column(table.c[name], [value]).combine_chunks())
        for name, value in constants.items()
    )
    statement = (
        f"COPY {_table_name(connection, table)} ({_column_names(connection, names)})"
        " FROM STDIN WITH (FORMAT binary)"
    )
    raw = connection.connection.driver_connection
    assert raw is not None
    # The queue lets the next rows be encoded while the server stores the ones before.
    with raw.cursor() as cursor, cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as copy:
        copy.write(pgcopy.HEADER)
        for batch in _batches(data, _ROWS_A_COPY):
            copy.write(memoryview(pgcopy.rows(batch.columns, fixed, len(names))))
        copy.write(pgcopy.TRAILER)


def _executemany(
    connection: Connection, table: Table, data: pa.Table, constants: Mapping[str, Any]
) -> None:
    """The sqlite3 module's executemany; constants stand in the statement, so no row binds them."""
    names = [*data.column_names, *constants]
    literals = [_literal(connection, table, name, value) for name, value in constants.items()]
    values = ", ".join(["?"] * data.num_columns + literals)
    statement = (
        f"INSERT INTO {_table_name(connection, table)} ({_column_names(connection, names)})"
        f" VALUES ({values})"
    )
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.executemany(statement, _python_rows(data)).close()


def _literal(connection: Connection, table: Table, name: str, value: Any) -> str:
    column = table.c[name]
    stored = _as_text(arrow_column(column, [value])).to_pylist()[0]
    if stored is None:
        return "NULL"
    kind: TypeEngine[Any] = String() if isinstance(stored, str) else column.type
    processor = kind.dialect_impl(connection.dialect).literal_processor(connection.dialect)
    assert processor is not None
    return processor(stored)


def _python_rows(data: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in _batches(data, _ROWS_AT_ONCE):
        yield from zip(*(_python_values(column) for column in batch.columns), strict=True)


def _batches(data: pa.Table, most: int) -> Iterator[pa.RecordBatch]:
    """The rows in parts of at most ``most``, and in two at least."""
    half = max(1, -(-data.num_rows // 2))
    for number, batch in enumerate(data.to_batches(max_chunksize=min(most, half))):
        if number == 1:
            faults.reach("bulk-half")
        yield batch


def _python_values(column: pa.Array) -> Iterable[Any]:
    """The column as Python values, by the quickest way that loses nothing."""
    column = _as_text(column)
    # Missing floats become NaN on the way, which SQLite stores as NULL.
    if (
        column.null_count == 0
        or pa.types.is_floating(column.type)
        or pa.types.is_string(column.type)
    ):
        return column.to_numpy(zero_copy_only=False).tolist()
    return column.to_pylist()


def _as_text(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Dates and times as ISO text in UTC, which is also how SQLAlchemy stores them in SQLite.

    Arrow writes instants to CSV thirty times slower than it casts them to text.
    """
    if pa.types.is_timestamp(column.type):
        return pc.cast(pc.cast(column, pa.timestamp("us")), pa.string())
    if pa.types.is_date(column.type):
        return pc.cast(column, pa.string())
    return column


def _table_name(connection: Connection, table: Table) -> str:
    preparer = connection.dialect.identifier_preparer
    name = preparer.quote(table.name)
    if table.schema is None or not is_postgres(connection):
        return name
    return f"{preparer.quote_schema(table.schema)}.{name}"


def _column_names(connection: Connection, names: Iterable[str]) -> str:
    return ", ".join(map(connection.dialect.identifier_preparer.quote, names))
