"""Rows of one key: identical ones collapse, conflicting ones are bad, spend is added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse import duck
from warehouse.ingestion.staging import BAD, GOOD, REPEAT, Stage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Repeats:
    """Rows that equal an earlier row of the export, and rows whose key another row contradicts."""

    identical: int
    conflicting: int


def settle(staged: Stage, connection: DuckDBPyConnection) -> Repeats:
    """Mark repeats and conflicts in the working table, and add up a summed table's rows."""
    if staged.table.summed:
        identical = _twins(staged, connection)
        _add_up(staged, connection)
        return Repeats(identical, 0)
    if not staged.table.derived_key:
        return _collapse(staged, connection)
    derived = _twins(staged, connection, "__derived")
    given = _collapse(staged, connection, "NOT __derived")
    return Repeats(derived + given.identical, given.conflicting)


def _twins(staged: Stage, connection: DuckDBPyConnection, rows: str = "true") -> int:
    """Rows that equal an earlier one: legal here, but a table that came twice shows in them."""
    compared = [
        name
        for name in staged.columns
        if not (staged.table.derived_key and name in staged.table.key)
    ]
    content = f"hash({duck.names(compared)})"
    found = duck.one(
        connection, f"SELECT count(*) - count(DISTINCT {content}) FROM {staged.good} WHERE {rows}"
    )
    return int(found[0]) if found else 0


def _collapse(staged: Stage, connection: DuckDBPyConnection, rows: str = "true") -> Repeats:
    key = duck.names(staged.table.key)
    content = duck.names(list(staged.columns))
    # The 64-bit hash only narrows the search; the rows found are compared by their real keys.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE doubled AS SELECT hash({key}) AS h FROM {staged.good}"
        f" WHERE {rows} GROUP BY h HAVING count(*) > 1"
    )
    if not duck.one(connection, "SELECT 1 FROM doubled LIMIT 1"):
        return Repeats(0, 0)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE judged AS"
        f" SELECT __place, __variants, __twin, {key} FROM (SELECT rowid AS __place, {key},"
        f" row_number() OVER (PARTITION BY {content} ORDER BY rowid) AS __twin,"
        f" min(row({content})) OVER own IS DISTINCT FROM max(row({content})) OVER own AS __variants"
        f" FROM {staged.name} WHERE __state = {GOOD} AND {rows}"
        f" AND hash({key}) IN (SELECT h FROM doubled) WINDOW own AS (PARTITION BY {key}))"
    )
    connection.execute(
        f"UPDATE {staged.name} SET __state = {REPEAT} FROM judged"
        f" WHERE {staged.name}.rowid = __place AND NOT __variants AND __twin > 1"
    )
    quote = duck.text("'")
    shown = " || ', ' || ".join(
        f"{duck.text(name + ' ')} || {quote} ||"
        f" coalesce({staged.name}.{duck.name(name)}::VARCHAR, '') || {quote}"
        for name in staged.table.key
    )
    connection.execute(
        f"UPDATE {staged.name} SET __state = {BAD},"
        f" __reasons = {shown} || ' stands in several rows that differ: rows ' || found.__places"
        f" FROM judged, (SELECT {key}, string_agg(__place + 1, ', ' ORDER BY __place)"
        f" FILTER (__spot <= 5) AS __places FROM (SELECT *, row_number() OVER (PARTITION BY {key}"
        f" ORDER BY __place) AS __spot FROM judged WHERE __variants) GROUP BY ALL) found"
        f" WHERE {staged.name}.rowid = judged.__place AND __variants"
        f" AND {duck.same('judged', 'found', staged.table.key)}"
    )
    counted = duck.one(
        connection,
        "SELECT count(*) FILTER (NOT __variants AND __twin > 1), count(*) FILTER (__variants)"
        " FROM judged",
    ) or (0, 0)
    return Repeats(int(counted[0]), int(counted[1]))


def _add_up(staged: Stage, connection: DuckDBPyConnection) -> None:
    """One row a key: the summed column added up, other numbers averaged, the first of the rest.

    Extra numbers beside spend are controls (a price index, a temperature), whose sum means nothing.
    """
    table = staged.table
    key = duck.names(table.key)
    rest = ", ".join(
        _one(name, kind, table.summed)
        for name, kind in staged.columns.items()
        if name not in table.key
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE added AS SELECT {key}, {rest}, min(rowid) AS __place"
        f" FROM {staged.name} WHERE __state = {GOOD} GROUP BY {key} HAVING count(*) > 1"
    )
    sets = ", ".join(f"{duck.name(name)} = added.{duck.name(name)}" for name in staged.columns)
    connection.execute(
        f"UPDATE {staged.name} SET __state = {REPEAT} FROM added WHERE __state = {GOOD}"
        f" AND {duck.same(staged.name, 'added', table.key)} AND {staged.name}.rowid <> __place"
    )
    connection.execute(
        f"UPDATE {staged.name} SET {sets} FROM added WHERE {staged.name}.rowid = __place"
    )


def _one(name: str, duck_type: str, summed: str | None) -> str:
    quoted = duck.name(name)
    if name == summed:
        # Sums of doubles depend on the order of rows; kept exact, a reload changes nothing.
        return f"fsum({quoted} ORDER BY {quoted}) AS {quoted}"
    if duck_type == "DOUBLE":
        return f"favg({quoted} ORDER BY {quoted}) AS {quoted}"
    return f"min({quoted}) AS {quoted}"
