"""The rules' figures for one table, measured by DuckDB on the working table of an ingestion."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse import contract, duck
from warehouse.contract_types import Column, Table
from warehouse.quality.rules import Limits, Rule

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXAMPLES = 5


@dataclass(frozen=True)
class Batch:
    """Counts of one table's export before quarantine.

    ``before`` are the columns that the lake had values in, ``held`` the keys it had.
    """

    table: Table
    rows: int
    quarantined: int
    repeated: int
    removed: int
    held: int
    missing: Collection[str]
    empty: Collection[str]
    before: Collection[str]
    reasons: str = ""
    examples: tuple[dict[str, Any], ...] = ()


def batch_rules(batch: Batch, limits: Limits) -> list[Rule]:
    """Rules over the export as it came."""
    table, rows = batch.table, max(batch.rows, 1)
    empty = Rule(
        "empty",
        float(batch.rows == 0),
        f"{table.name} is there but has no rows",
        fail_above=0.0,
    )
    gone = [name for name in batch.missing if name not in table.required]
    missing = [
        Rule(
            f"missing_column:{name}",
            1.0,
            f"{table.name} has no column {name}, which earlier exports had: give it again",
            fail_above=0.0,
        )
        for name in gone
    ] + [
        Rule(
            f"missing_column:{name}",
            1.0,
            f"{table.name} has no column {name}, which the contract requires",
            fail_above=0.0,
        )
        for name in batch.missing
        if name in table.required
    ]
    blank = [
        Rule(
            f"empty_column:{name}",
            1.0,
            f"column {name} of {table.name} is empty in every row"
            + (
                ", and was not in earlier exports"
                if name in batch.before
                else ": fill it or leave it out of the export"
            ),
            fail_above=0.0,
        )
        for name in batch.empty
        if batch.rows
    ]
    shares = [
        Rule(
            "quarantined",
            batch.quarantined / rows,
            f"{_share(batch.quarantined, batch.rows)} of {table.name} went to quarantine:"
            f" {batch.reasons}",
            limits.quarantine_warn,
            limits.quarantine_fail,
            batch.examples,
        ),
        Rule(
            "repeated",
            batch.repeated / rows,
            f"{_share(batch.repeated, batch.rows)} of {table.name} repeat an earlier row:"
            " was the table exported twice?",
            limits.repeated_warn,
            limits.repeated_fail,
        ),
        Rule(
            "removed",
            batch.removed / max(batch.held, 1),
            f"{_share(batch.removed, batch.held)} of {table.name} that earlier exports had are"
            " missing from this one: is it complete?",
            limits.removed_warn,
            limits.removed_fail,
        ),
    ]
    return [empty, *missing, *blank, *shares]


def snapshot_rules(
    table: Table, rows: str, columns: Iterable[str], connection: DuckDBPyConnection
) -> list[Rule]:
    """The contract's own rules over the whole table (SQL ``rows``) as it is after this ingestion.

    Every figure is a share of rows and must be 0: what breaks the contract went to quarantine.
    """
    held = set(columns)
    measures: dict[str, tuple[str, str]] = {}
    for column in table.columns:
        if column.name in held:
            measures |= _measures(column)
    for order in table.orders:
        if {order.earlier, order.later} <= held:
            earlier, later = duck.name(order.earlier), duck.name(order.later)
            measures[f"order:{order.later}"] = (
                f"count(*) FILTER ({later} < {earlier})",
                f"{order.later} lies before {order.earlier}",
            )
    key = duck.names(table.key)
    measures["unique:" + "+".join(table.key)] = (
        f"count(*) - count(DISTINCT hash({key}))",
        f"several rows of one {' and '.join(table.key)}",
    )
    selected = ", ".join(sql for sql, _ in measures.values())
    found = duck.one(connection, f"SELECT count(*), {selected} FROM {rows}") or ()
    total = max(int(found[0]), 1)
    return [
        Rule(
            name,
            int(count) / total,
            f"{_share(int(count), total)} of {table.name}: {said}",
            fail_above=0.0,
        )
        for (name, (_, said)), count in zip(measures.items(), found[1:], strict=True)
    ]


def _measures(column: Column) -> dict[str, tuple[str, str]]:
    value, measures = duck.name(column.name), {}
    if column.not_null:
        measures[f"not_null:{column.name}"] = (
            f"count(*) - count({value})",
            f"{column.name} is missing",
        )
    if column.minimum is not None and column.maximum is not None:
        bounds = f"{column.minimum!r} AND {column.maximum!r}"
        measures[f"range:{column.name}"] = (
            f"count(*) FILTER ({value} NOT BETWEEN {bounds})",
            f"{column.name} is not within {column.minimum:g} to {column.maximum:g}",
        )
    elif column.type == "float":
        measures[f"finite:{column.name}"] = (
            f"count(*) FILTER (NOT isfinite({value}))",
            f"{column.name} is not a finite number",
        )
    if column.type in ("date", "instant"):
        days = f"DATE '{contract.EARLIEST}' AND DATE '{contract.LATEST}'"
        measures[f"range:{column.name}"] = (
            f"count(*) FILTER ({value}::DATE NOT BETWEEN {days})",
            f"{column.name} is not within {contract.EARLIEST} to {contract.LATEST}",
        )
    return measures


def _share(count: int, rows: int) -> str:
    return f"{count:,} of {rows:,} rows ({count / max(rows, 1):.2%})"
