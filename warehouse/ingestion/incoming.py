"""One table on its way in: staged, settled, compared with the lake, measured and judged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from warehouse import contract, duck
from warehouse.contract_types import ColumnType, Table
from warehouse.ingestion import changes, keys, plan, staging
from warehouse.ingestion.changes import Changes
from warehouse.ingestion.plan import Plan
from warehouse.ingestion.staging import BAD, Stage
from warehouse.quality import Batch, Limits, batch_rules, snapshot_rules
from warehouse.quality.rules import Rule
from warehouse.sources.errors import SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LAKE_TYPES: dict[str, ColumnType] = {
    "VARCHAR": "string",
    "DOUBLE": "float",
    "BIGINT": "int",
    "BOOLEAN": "bool",
    "DATE": "date",
    "TIMESTAMP": "instant",
}
_EXAMPLES = 5
QUARANTINE_COLUMNS = "table_name, place, kind, reasons, raw"


@dataclass(frozen=True)
class Held:
    """What the lake holds of a table: SQL of its log, and the log's columns with DuckDB types."""

    log: str
    columns: Mapping[str, str]

    @property
    def given(self) -> dict[str, str]:
        """Columns that come from the source."""
        return {n: kind for n, kind in self.columns.items() if n not in contract.LOG_COLUMNS}


@dataclass(frozen=True)
class Incoming:
    """A table's export after judging; ``changes`` is what applying it would append."""

    table: Table
    plan: Plan
    stage: Stage
    changes: Changes
    rows: int
    quarantined: int
    repeated: int
    rules: list[Rule]


def hold(log: str, connection: DuckDBPyConnection) -> Held:
    """What a log (SQL) has; its columns that hold nothing but null are no columns."""
    described = connection.sql(f"SELECT * FROM {log} LIMIT 0")
    return Held(log, dict(zip(described.columns, map(str, described.types), strict=True)))


def read_table(
    table: Table, view: str, held: Held | None, connection: DuckDBPyConnection, timezone: str
) -> tuple[Plan, Stage]:
    """Plan and stage a view; look at all its rows where the first ones misled.

    Raises SourceError where the source fails while it is read, as a mapping's own casts may.
    """
    import duckdb

    described = connection.sql(f"SELECT * FROM {duck.name(view)} LIMIT 0")
    types = dict(zip(described.columns, map(str, described.types), strict=True))
    known = {
        name: _LAKE_TYPES[kind]
        for name, kind in (held.given if held else {}).items()
        if name not in table.column_names
    }
    try:
        planned = plan.make(table, types, known, connection, view)
        staged = staging.stage(planned, view, connection, timezone)
        if planned.guessed and _misled(planned, staged, connection):
            again = plan.make(table, types, known, connection, view, rows=None)
            if (again.columns, again.extras) != (planned.columns, planned.extras):
                planned, staged = again, staging.stage(again, view, connection, timezone)
    except (
        duckdb.DataError,
        duckdb.OperationalError,
        duckdb.InvalidInputException,
    ) as error:
        raise SourceError(f"the table {table.name} cannot be read to its end: {error}") from error
    return planned, staged


def _misled(planned: Plan, staged: Stage, connection: DuckDBPyConnection) -> bool:
    """Whether a row fell because of a column whose reading was guessed from the first rows."""
    said = [f"contains(__reasons, {duck.text(name + ': ')})" for name in planned.unsure]
    if not said:
        return False
    query = f"SELECT 1 FROM {staged.name} WHERE __state = {BAD} AND ({' OR '.join(said)}) LIMIT 1"
    return duck.one(connection, query) is not None


def receive(
    table: Table,
    view: str,
    held: Held | None,
    connection: DuckDBPyConnection,
    *,
    timezone: str,
    today: dt.date,
    ordinal: int,
    limits: Limits,
) -> Incoming:
    """Everything but writing. Quarantined rows go to the connection's table ``quarantine_rows``."""
    planned, staged = read_table(table, view, held, connection, timezone)
    before = _filled(held, connection) if held else set()
    missing = [*planned.missing, *sorted(before - set(planned.columns) - set(staged.columns))]
    if table.derived_key:
        missing = [name for name in missing if name not in table.key]
    repeats = keys.settle(staged, connection)
    total = _count(f"SELECT count(*) FROM {staged.name}", connection)
    rejected = _quarantine(staged, connection)
    quarantined = rejected + _count(
        f"SELECT count(*) FROM {staged.name} WHERE __state = {BAD}", connection
    )
    if held is None:
        found = changes.first(staged, connection, today, ordinal)
    else:
        given = list(held.given)
        found = changes.since(staged, held.log, given, connection, today, ordinal)
    reasons, examples = _reasons(table, connection)
    batch = Batch(
        table=table,
        rows=total + rejected,
        quarantined=quarantined,
        repeated=repeats.identical,
        removed=found.removed,
        held=found.held,
        missing=missing,
        empty=_empty(table, planned, staged, before, connection) if total else [],
        before=before,
        reasons=reasons,
        examples=examples,
    )
    rules = batch_rules(batch, limits)
    if not missing:
        rules += snapshot_rules(table, staged.good, staged.columns, connection)
    return Incoming(
        table, planned, staged, found, total + rejected, quarantined, repeats.identical, rules
    )


def _filled(held: Held, connection: DuckDBPyConnection) -> set[str]:
    """The lake's columns that hold any value."""
    names = list(held.given)
    counts = duck.one(
        connection,
        f"SELECT {', '.join(f'count({duck.name(name)})' for name in names)} FROM {held.log}",
    )
    return {name for name, count in zip(names, counts or (), strict=True) if count}


def _empty(
    table: Table,
    planned: Plan,
    staged: Stage,
    before: set[str],
    connection: DuckDBPyConnection,
) -> list[str]:
    """Columns without any value in them, where that is not what they may well be."""
    names = [name for name in staged.columns if name in planned.columns]
    if not names:
        return []
    counts = duck.one(
        connection,
        f"SELECT {', '.join(f'count({duck.name(name)})' for name in names)} FROM {staged.name}",
    )
    blank = [name for name, count in zip(names, counts or (), strict=True) if not count]
    return [
        name
        for name in blank
        if name in before or (name in table.column_names and not table.column(name).may_be_empty)
    ]


def prepare_quarantine(connection: DuckDBPyConnection) -> None:
    """Make the table that collects quarantined rows of all tables."""
    connection.execute(
        "CREATE TABLE quarantine_rows (table_name VARCHAR, place BIGINT, kind VARCHAR,"
        " reasons VARCHAR, raw VARCHAR)"
    )


def _quarantine(staged: Stage, connection: DuckDBPyConnection) -> int:
    """Collect bad rows and unreadable lines; returns how many lines could not be read."""
    label = duck.text(staged.table.name)
    # A row that only contradicts another one was read without fault: it is shown as read.
    read = ", ".join(f"{duck.name(name)} := {duck.name(name)}" for name in staged.columns)
    raw = f"coalesce(to_json(__came)::VARCHAR, to_json(struct_pack({read}))::VARCHAR)"
    connection.execute(
        f"INSERT INTO quarantine_rows SELECT {label}, rowid + 1, 'row', __reasons, {raw}"
        f" FROM {staged.name} WHERE __state = {BAD}"
    )
    rejects = f"rejects_{staged.table.name}"
    known = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
    if not duck.one(connection, known, [rejects]):
        return 0
    lines = (
        f"SELECT line, string_agg(DISTINCT error_message, '; ') AS said, min(csv_line) AS csv_line"
        f" FROM {duck.name(rejects)} GROUP BY line"
    )
    connection.execute(
        f"INSERT INTO quarantine_rows SELECT {label}, line, 'line',"
        f" 'line ' || line || ' of the file cannot be read: ' || said, csv_line FROM ({lines})"
    )
    return _count(f"SELECT count(*) FROM ({lines})", connection)


def _reasons(
    table: Table, connection: DuckDBPyConnection
) -> tuple[str, tuple[dict[str, Any], ...]]:
    """The commonest kinds of reason, one of each in full, and the first rows as examples."""
    own = f"FROM quarantine_rows WHERE table_name = {duck.text(table.name)}"
    values = duck.text(r"'[^']*'|\d[\d.,e+-]*")
    kinds = connection.execute(
        "SELECT min(said), count(*) AS n FROM"
        f" (SELECT unnest(string_split(reasons, '; ')) AS said {own})"
        f" GROUP BY regexp_replace(said, {values}, '', 'g') ORDER BY n DESC, min(said) LIMIT 3"
    ).fetchall()
    rows = connection.execute(
        f"SELECT place, kind, reasons, raw {own} ORDER BY kind, place LIMIT {_EXAMPLES}"
    ).fetchall()
    said = "; ".join(
        f"{kind} (and {count - 1:,} more like it)" if count > 1 else str(kind)
        for kind, count in kinds
    )
    return said, tuple(
        {str(kind): place, "reasons": reasons, "values": raw} for place, kind, reasons, raw in rows
    )


def _count(query: str, connection: DuckDBPyConnection) -> int:
    found = duck.one(connection, query)
    return int(found[0]) if found else 0


def event_range(
    table: Table, rows: str, columns: Mapping[str, str], today: dt.date, connection: Any
) -> tuple[dt.date | None, dt.date | None]:
    """First and newest day of a table of events, no later than ``today``; nulls for others."""
    happened = table.name not in ("clients", "services", "rates")
    if not happened or table.date_column is None or table.date_column not in columns:
        return None, None
    day = f"{duck.name(table.date_column)}::DATE"
    found = duck.one(
        connection, f"SELECT min({day}), max({day}) FROM {rows} WHERE {day} <= DATE '{today}'"
    )
    return found if found else (None, None)


def verdict_of(failed: list[Any]) -> Literal["pass", "warn", "fail"]:
    """The worst severity among failed rules."""
    severities = {rule.severity for rule in failed}
    return "fail" if "fail" in severities else "warn" if "warn" in severities else "pass"
