"""A database as a source: a SQLAlchemy URL with one table or view for each contract table."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, MetaData, Select, Table, create_engine, inspect, select, type_coerce
from sqlalchemy import types as sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from warehouse import contract, duck
from warehouse.sources.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

BATCH_ROWS = 50_000


class DatabaseSource:
    """Tables and views of any database that SQLAlchemy reads, fetched in batches."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            if parsed.drivername in ("postgresql", "postgres"):
                parsed = parsed.set(drivername="postgresql+psycopg")
            self._engine: Engine = create_engine(parsed, poolclass=NullPool)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise SourceError(
                f"this is not a database URL that can be opened ({error}): expected for instance"
                " postgresql://user:password@host/database or sqlite:////absolute/path.db"
            ) from error
        self._shown = parsed.render_as_string(hide_password=True)
        self.identity = parsed.set(password=None, query={}).render_as_string()

    def tables(self) -> list[str]:
        """Tables or views named after the contract's tables, in the contract's order."""
        held = self._held
        present = [table for table in contract.TABLES if table in held]
        if not present:
            raise SourceError(
                f"{self._shown} has no table or view for any contract table. Expected some of"
                f" {', '.join(contract.TABLES)}; found: {', '.join(sorted(held)[:12]) or 'nothing'}"
            )
        return present

    def relation(self, table: str, connection: DuckDBPyConnection) -> DuckDBPyRelation:
        """The table's rows, copied into the connection, since a database changes while read."""
        import pyarrow as pa

        local = duck.name(f"fetched_{table}")
        try:
            reflected = Table(self._held[table], MetaData(), autoload_with=self._engine)
            schema = _schema(reflected, self._typed)
            batches = pa.RecordBatchReader.from_batches(schema, self._batches(reflected, schema))
            connection.from_arrow(batches).create_view("fetching", replace=True)
            connection.execute(f"CREATE OR REPLACE TABLE {local} AS SELECT * FROM fetching")
        except SQLAlchemyError as error:
            raise SourceError(f"{self._shown}, table {table}: {error}") from error
        return connection.table(f"fetched_{table}")

    @property
    def _typed(self) -> bool:
        # SQLite holds any value in any column; SQLAlchemy would fail on a date it cannot read.
        return self._engine.dialect.name != "sqlite"

    @cached_property
    def _held(self) -> dict[str, str]:
        try:
            inspector = inspect(self._engine)
            found = [*inspector.get_table_names(), *inspector.get_view_names()]
        except SQLAlchemyError as error:
            raise SourceError(f"{self._shown} does not answer: {error}") from error
        return {name.lower(): name for name in found}

    def _batches(self, table: Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with self._engine.connect().execution_options(stream_results=True) as connection:
            rows = connection.execute(_query(table, self._typed)).yield_per(BATCH_ROWS)
            for part in rows.partitions():
                columns = list(zip(*part, strict=True))
                arrays = [
                    pa.array([_plain(value, field.type) for value in column], type=field.type)
                    for column, field in zip(columns, schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _query(table: Table, typed: bool) -> Select[Any]:
    columns = [column if typed else type_coerce(column, sql.NullType()) for column in table.columns]
    return select(*columns)


def _schema(table: Table, typed: bool) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(column.name, _arrow(column.type) if typed else pa.string())
            for column in table.columns
        ]
    )


def _arrow(declared: sql.TypeEngine[Any]) -> pa.DataType:
    """Numbers, dates and instants as such; everything else as text, which ingestion reads."""
    import pyarrow as pa

    if isinstance(declared, sql.Boolean):
        return pa.bool_()
    if isinstance(declared, sql.Integer):
        return pa.int64()
    if isinstance(declared, sql.Numeric):  # Float and Double are Numeric too
        return pa.float64()
    if isinstance(declared, sql.DateTime):
        return pa.timestamp("us", tz="UTC" if declared.timezone else None)
    if isinstance(declared, sql.Date):
        return pa.date32()
    return pa.string()


def _plain(value: Any, wanted: pa.DataType) -> Any:
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_string(wanted):
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return value if isinstance(value, str) else str(value)
    return float(value) if isinstance(value, Decimal) else value
