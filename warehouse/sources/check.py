"""Looks a source over without loading it: which tables are there and what is wrong in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse import contract, duck
from warehouse.ingestion import incoming
from warehouse.quality import Limits, judge
from warehouse.repositories.verdicts import FailedRule
from warehouse.sources import SourceError, open_source
from warehouse.sources.folder import FolderSource

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from warehouse.settings import WarehouseSettings
    from warehouse.sources import Source

EXAMPLES = 5
_VALUES = r"'[^']*'|\d[\d.,e+-]*"


@dataclass(frozen=True)
class Problem:
    """Rows that fail for the same kind of reason: how many, and the first of them.

    An example has ``row`` (or ``line``, where a line of the file cannot be split into values),
    ``reason`` and ``values``.
    """

    reason: str
    count: int
    examples: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TableCheck:
    """One table of the source.

    ``usable`` rows are those that an ingestion would take; ``columns`` are the contract's columns
    that are there; ``extra`` maps further columns to the type they would get.
    """

    name: str
    rows: int = 0
    usable: int = 0
    columns: Sequence[str] = ()
    extra: Mapping[str, str] | None = None
    problems: Sequence[Problem] = ()
    failed_rules: Sequence[FailedRule] = ()
    error: str | None = None

    @property
    def verdict(self) -> str:
        """``pass``, ``warn`` or ``fail``: what an ingestion would say."""
        return "fail" if self.error else incoming.verdict_of(list(self.failed_rules))


@dataclass(frozen=True)
class SourceCheck:
    """A whole source. ``unmatched`` are files of a folder that belong to no table."""

    source: str
    tables: Sequence[TableCheck]
    unmatched: Sequence[str] = ()

    @property
    def present(self) -> list[str]:
        """Tables that have usable rows; which models they are enough for, the models know.

        Lines made from invoices count, as they do at an ingestion.
        """
        held = [table.name for table in self.tables if table.usable]
        invoices = next((table for table in self.tables if table.name == "invoices"), None)
        if invoices and invoices.usable and "amount" in invoices.columns:
            held += [] if "invoice_lines" in held else ["invoice_lines"]
        return [name for name in contract.TABLES if name in held]

    @property
    def absent(self) -> list[str]:
        """Tables of the contract that the source does not have."""
        return [name for name in contract.TABLES if name not in self.present]


def check_source(spec: str, settings: WarehouseSettings) -> SourceCheck:
    """Read every table of a source as an ingestion would, and write nothing.

    Raises SourceError where the source as a whole cannot be opened; a table that cannot be read
    is told in its ``error``.
    """
    source = open_source(spec, settings)
    data = str(settings.example_data) if settings.example_data else None
    with duck.session(timezone=settings.timezone, data=data) as connection:
        incoming.prepare_quarantine(connection)
        tables = [_check(source, name, settings, connection) for name in source.tables()]
    unmatched = source.unmatched() if isinstance(source, FolderSource) else []
    return SourceCheck(source.identity, tables, unmatched)


def _check(
    source: Source, name: str, settings: WarehouseSettings, connection: DuckDBPyConnection
) -> TableCheck:
    table, view = contract.table(name), f"source_{name}"
    try:
        source.relation(name, connection).create_view(view, replace=True)
        came = incoming.receive(
            table,
            view,
            None,
            connection,
            timezone=settings.timezone,
            today=dt.datetime.now(settings.zone).date(),
            ordinal=1,
            limits=Limits(settings.quarantine_warn_share, settings.quarantine_fail_share),
        )
    except SourceError as error:
        return TableCheck(name, error=str(error))
    staged = came.stage.columns
    connection.execute(f"DROP TABLE {came.stage.name}")
    return TableCheck(
        name,
        rows=came.rows,
        usable=0 if came.plan.missing else came.changes.inserted,
        columns=[column for column in table.column_names if column in came.plan.columns],
        extra={
            column: given.type for column, given in came.plan.extras.items() if column in staged
        },
        problems=_problems(name, connection),
        failed_rules=judge(name, came.rules),
    )


def _problems(table: str, connection: DuckDBPyConnection) -> list[Problem]:
    said = (
        "(SELECT place, kind, raw, unnest(string_split(reasons, '; ')) AS said"
        f" FROM quarantine_rows WHERE table_name = {duck.text(table)})"
    )
    found = connection.execute(
        "SELECT min_by(said, place) AS reason, count(*) AS n, min_by(struct_pack(kind := kind,"
        f" place := place, said := said, raw := raw), place, {EXAMPLES})"
        f" FROM {said} GROUP BY regexp_replace(said, {duck.text(_VALUES)}, '', 'g')"
        " ORDER BY n DESC, reason"
    ).fetchall()
    return [
        Problem(
            reason,
            count,
            [
                {one["kind"]: one["place"], "reason": one["said"], "values": one["raw"]}
                for one in examples
            ],
        )
        for reason, count, examples in found
    ]
