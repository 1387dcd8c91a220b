"""What changed since the lake's last version of a table: inserted, updated and removed rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse import duck
from warehouse.ingestion.staging import GOOD, Stage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Changes:
    """Counts of changed rows and the SQL of the log rows that record them."""

    inserted: int
    updated: int
    removed: int
    held: int  # keys that the lake held before
    sql: str

    @property
    def any(self) -> bool:
        """Whether there is anything to write."""
        return self.inserted + self.updated + self.removed > 0


def first(staged: Stage, connection: DuckDBPyConnection, seen_on: dt.date, ordinal: int) -> Changes:
    """Everything is new: the table is not in the lake yet."""
    found = duck.one(connection, f"SELECT count(*) FROM {staged.good}")
    log = _log("'insert'", seen_on, ordinal)
    sql = f"SELECT {duck.names(list(staged.columns))}, {log} FROM {staged.good}"
    return Changes(int(found[0]) if found else 0, 0, 0, 0, sql)


def since(
    staged: Stage,
    log: str,
    log_columns: list[str],
    connection: DuckDBPyConnection,
    seen_on: dt.date,
    ordinal: int,
) -> Changes:
    """Compare the working table with the log (SQL, its columns) and find what to append.

    One pass over hashes of both finds the keys that need a look (changed ones, and those with more
    than one version in the log); only these are compared by their real values. A key that stands
    only in quarantined rows keeps its last good version.
    """
    key = duck.names(staged.table.key)
    columns = sorted({*staged.columns, *log_columns})
    ours = ", ".join(_column(name, staged.columns) for name in columns)
    theirs = ", ".join(_column(name, log_columns) for name in columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE suspects AS SELECT h FROM ("
        f"SELECT hash({key}) AS h, hash({ours}) AS content, 1 AS new FROM {staged.good}"
        f" UNION ALL SELECT hash({key}), hash({theirs}), 0 FROM {log})"
        f" GROUP BY h HAVING count(*) <> 2 OR sum(new) <> 1 OR min(content) <> max(content)"
    )
    changing = f"hash({key}) IN (SELECT h FROM suspects)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE current AS SELECT * EXCLUDE (__place) FROM"
        f" (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY snapshot DESC) AS __place"
        f" FROM {log} WHERE {changing}) WHERE __place = 1 AND change <> 'remove'"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE arrived AS SELECT * FROM {staged.name}"
        f" WHERE __state = {GOOD} AND {changing}"
    )
    matches = duck.same("a", "c", staged.table.key)
    row_a = ", ".join(f"a.{duck.name(n)}" if n in staged.columns else "NULL" for n in columns)
    row_c = ", ".join(f"c.{duck.name(n)}" if n in log_columns else "NULL" for n in columns)
    shown = duck.names(list(staged.columns), "a.")
    gone = ", ".join(f"c.{duck.name(n)}" for n in log_columns)
    inserts = f"FROM arrived a ANTI JOIN current c ON {matches}"
    differ = f"row({row_a}) IS DISTINCT FROM row({row_c})"
    updates = f"FROM arrived a JOIN current c ON {matches} WHERE {differ}"
    there = f"(SELECT {key} FROM {staged.name} WHERE {changing})"
    removes = f"FROM current c ANTI JOIN {there} a ON {matches}"
    inserted, updated, removed = (
        _count(f"SELECT count(*) {part}", connection) for part in (inserts, updates, removes)
    )
    sql = " UNION ALL BY NAME ".join(
        [
            f"SELECT {shown}, {_log(duck.text('insert'), seen_on, ordinal)} {inserts}",
            f"SELECT {shown}, {_log(duck.text('update'), seen_on, ordinal)} {updates}",
            f"SELECT {gone}, {_log(duck.text('remove'), seen_on, ordinal)} {removes}",
        ]
    )
    held = _count(
        "SELECT count(*) FILTER (change = 'insert') - count(*) FILTER (change = 'remove')"
        f" FROM {log}",
        connection,
    )
    return Changes(inserted, updated, removed, held, sql)


def _count(query: str, connection: DuckDBPyConnection) -> int:
    found = duck.one(connection, query)
    return int(found[0]) if found else 0


def _column(name: str, there: Collection[str]) -> str:
    return duck.name(name) if name in there else "NULL"


def _log(change: str, seen_on: dt.date, ordinal: int) -> str:
    return f"{change} AS change, DATE '{seen_on}' AS seen_on, {ordinal}::BIGINT AS snapshot"
