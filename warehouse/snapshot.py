"""Raw tables as the firm knew them: row versions of a data version, and tables as of a day.

A raw table is an append-only log of row versions. Its columns are those of the source, and:
``known_at`` (day), ``change`` (``insert``, ``update``, ``remove``), ``seen_on`` (the day of the
ingestion in the firm's zone) and ``snapshot`` (the ordinal of the data version that wrote it).
A key's state is its last version. A reader gets, in place of the last three, the first day of
each version and the day after its last one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warehouse import contract, duck
from warehouse.contract import KNOWN_AT, LOG_COLUMNS
from warehouse.contract_types import Table
from warehouse.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection


def raw(table: str) -> str:
    """The lake's name of a raw table."""
    return f"raw/{table}"


@dataclass(frozen=True)
class Snapshot:
    """One data version: its id and the Delta version of each table."""

    lake: Lake
    id: str
    versions: Mapping[str, int]

    @property
    def tables(self) -> list[str]:
        """The contract's tables that this data version holds, in the contract's order."""
        return [name for name in contract.TABLES if name in self.versions]

    def columns(self, table: str) -> list[str]:
        """The columns that the source gave, derived ones and ``known_at`` included."""
        held = self.lake.columns(raw(table), self._version(table))
        return [name for name in held if name not in LOG_COLUMNS]

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All row versions, with these columns (default: all) and when each counts.

        ``known_at`` is never null; ``valid_from`` (null: since ever) and ``valid_to`` (null: still)
        bound the version; ``rates``, which has columns of these names, calls its version's bounds
        ``version_from`` and ``version_to``. Own-dated columns hold their final value and are to be
        masked where their date is later than the day of reading (:meth:`as_of` does).
        """
        with duck.session() as connection:
            return connection.sql(self.sql(table, connection, columns)).to_arrow_table()

    def as_of(self, table: str, day: dt.date, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as known at the end of ``day``: one a key, own-dated columns masked."""
        shown, needed = self._masked(table, day, columns)
        with duck.session() as connection:
            versions = f"({self.sql(table, connection, needed)})"
            return connection.sql(_as_known(table, versions, day, shown)).to_arrow_table()

    @contextmanager
    def for_days(self, days: Sequence[dt.date]) -> Iterator[Snapshot]:
        """The same data version for :meth:`as_of` of several days.

        The lake is read once for each table and list of columns. To be used in one thread, and
        not after the end.
        """
        if len(days) < 2:
            yield self
            return
        with duck.session() as connection:
            yield _Held(self.lake, self.id, self.versions, connection)

    def sql(
        self, table: str, connection: DuckDBPyConnection, columns: Sequence[str] | None = None
    ) -> str:
        """What :meth:`read` returns, as SQL for a connection, so that work stays in DuckDB."""
        declared = contract.table(table)
        wanted = self._wanted(table, columns)
        log = self.lake.relation(raw(table), self._version(table), connection)
        since, until = declared.version_columns
        shown = duck.names([*wanted, *([] if KNOWN_AT in wanted else [KNOWN_AT])])
        changed = f"SELECT {_key(declared)} FROM {log} WHERE change <> 'insert'"
        if not duck.one(connection, f"{changed} LIMIT 1"):
            return f"SELECT {shown}, NULL::DATE AS {since}, NULL::DATE AS {until} FROM {log}"
        held = [name for name in self.columns(table) if name != KNOWN_AT]
        several = _history(
            declared, held, f"SELECT * FROM {log} WHERE {_key(declared)} IN ({changed})"
        )
        every = duck.names([*held, KNOWN_AT])
        # Joins keep no order; replay needs one.
        return (
            f"SELECT {shown}, {since}, {until} FROM ("
            f"SELECT {every}, NULL::DATE AS {since}, NULL::DATE AS {until} FROM {log}"
            f" WHERE {_key(declared)} NOT IN ({changed})"
            f" UNION ALL SELECT {every}, {since}, {until} FROM ({several}))"
            f" ORDER BY {KNOWN_AT}, {duck.names(declared.key)}, {since} NULLS FIRST"
        )

    def _masked(
        self, table: str, day: dt.date, columns: Sequence[str] | None
    ) -> tuple[str, list[str]]:
        """The columns as SQL that hides what a later date dates, and those that this SQL reads."""
        wanted, held = self._wanted(table, columns), self.columns(table)
        dated = {
            name: date
            for name, date in contract.table(table).own_dated.items()
            if name in wanted and date in held
        }
        shown = ", ".join(
            f"CASE WHEN {duck.name(dated[name])} > {_day(day)} THEN NULL"
            f" ELSE {duck.name(name)} END AS {duck.name(name)}"
            if name in dated
            else duck.name(name)
            for name in wanted
        )
        return shown, [*wanted, *sorted(set(dated.values()).difference(wanted))]

    def _version(self, table: str) -> int:
        contract.table(table)
        if table not in self.versions:
            raise KeyError(
                f"data version {self.id} has no table {table!r}; it has: {', '.join(self.tables)}"
            )
        return self.versions[table]

    def _wanted(self, table: str, columns: Sequence[str] | None) -> list[str]:
        held = self.columns(table)
        if columns is None:
            return [name for name in held if name != KNOWN_AT]
        unknown = [name for name in columns if name not in held]
        if unknown:
            raise KeyError(
                f"table {table!r} of data version {self.id} has no column {', '.join(unknown)};"
                f" it has: {', '.join(held)}"
            )
        return list(columns)


@dataclass(frozen=True)
class _Held(Snapshot):
    """A snapshot whose row versions are kept in DuckDB once they were read."""

    connection: DuckDBPyConnection
    _columns: dict[str, list[str]] = field(default_factory=dict)
    _tables: dict[tuple[str, ...], str] = field(default_factory=dict)

    def columns(self, table: str) -> list[str]:
        if table not in self._columns:
            self._columns[table] = super().columns(table)
        return self._columns[table]

    def as_of(self, table: str, day: dt.date, columns: Sequence[str] | None = None) -> pa.Table:
        shown, needed = self._masked(table, day, columns)
        versions = self._tables.get((table, *needed))
        if versions is None:
            versions = duck.name(f"held_{len(self._tables)}")
            query = self.sql(table, self.connection, needed)
            self.connection.execute(f"CREATE TEMP TABLE {versions} AS {query}")
            self._tables[table, *needed] = versions
        return self.connection.sql(_as_known(table, versions, day, shown)).to_arrow_table()


def _as_known(table: str, versions: str, day: dt.date, shown: str) -> str:
    """SQL of the rows that held at the end of ``day``, from what stands for their versions."""
    since, until = contract.table(table).version_columns
    return (
        f"SELECT {shown} FROM {versions} WHERE {KNOWN_AT} <= {_day(day)}"
        f" AND ({since} IS NULL OR {since} <= {_day(day)})"
        f" AND ({until} IS NULL OR {_day(day)} < {until})"
    )


def _day(day: dt.date) -> str:
    return f"DATE '{day.isoformat()}'"


def _key(declared: Table) -> str:
    """The key as one value that is never null; ingestion leaves no empty text, so '' is free."""
    parts = [
        f"coalesce({duck.name(name)}, '')" if name in declared.optional_key else duck.name(name)
        for name in declared.key
    ]
    return parts[0] if len(parts) == 1 else f"row({', '.join(parts)})"


def _history(declared: Table, held: Sequence[str], versions: str) -> str:
    """SQL of the row versions of keys that were written more than once.

    A life begins with an insert and ends before a remove. Within it, an own-dated value that was
    filled in later belongs to the earlier versions too, since its own date says when it counts;
    a version that then equals the one before is no version of its own.
    """
    key = duck.names(declared.key)
    since, until = declared.version_columns
    filled = ", ".join(
        _filled(name, declared.own_dated[name])
        if declared.own_dated.get(name) in held
        else duck.name(name)
        for name in held
    )
    content = f"row({duck.names([*held, KNOWN_AT])})"
    order = f"PARTITION BY {key} ORDER BY snapshot"
    return f"""
        WITH log AS ({versions}),
        dated AS (
            -- A clock that steps back must not make a later version end before it begins.
            SELECT *, max(seen_on) OVER ({order}) AS seen,
                count(*) FILTER (change = 'remove') OVER ({order}) AS life,
                row_number() OVER ({order}) AS place
            FROM log
        ),
        filled AS (
            SELECT {filled}, {KNOWN_AT}, change, snapshot, seen, life, place
            FROM dated
            WINDOW later AS (
                PARTITION BY {key}, life + (change = 'remove')::INT * -1 ORDER BY snapshot
                ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            )
        ),
        marked AS (
            SELECT *, change = 'remove' OR coalesce(lag(change) OVER own = 'remove', true)
                OR {content} IS DISTINCT FROM lag({content}) OVER own AS begins
            FROM filled WINDOW own AS ({order})
        ),
        bounded AS (
            SELECT *, CASE WHEN place > 1 THEN seen END AS {duck.name(since)},
                lead(seen) OVER ({order}) AS {duck.name(until)}
            FROM marked WHERE begins
        )
        SELECT * FROM bounded
        WHERE change <> 'remove'
            AND ({since} IS NULL OR {until} IS NULL OR {since} < {until})"""


def _filled(column: str, date: str) -> str:
    """An own-dated value, or the first that a later version of the same life gave with its date.

    A value without its date counts from the version that brought it, like any other change.
    """
    quoted, dated = duck.name(column), duck.name(date)
    return (
        f"coalesce({quoted}, first_value(CASE WHEN {dated} IS NOT NULL THEN {quoted} END"
        f" IGNORE NULLS) OVER later) AS {quoted}"
    )
