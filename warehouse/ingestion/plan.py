"""How the columns of one source table map to the contract: names, date order, types of extras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from warehouse import duck
from warehouse.contract import KNOWN_AT, LOG_COLUMNS
from warehouse.contract_types import ColumnType, Table
from warehouse.ingestion import reading

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLE_ROWS = 20_000
AMBIGUOUS = "ambiguous"
_RESERVED = {*LOG_COLUMNS, "valid_from", "valid_to", "version_from", "version_to"}
_PLAIN_NUMBER = r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d+)?$"
_EXACT_IN_DOUBLE = 2**53


@dataclass(frozen=True)
class Given:
    """One column of the source: its name and DuckDB type there, and the type it gets."""

    source: str
    duck_type: str
    type: ColumnType
    rival: str = ""  # how the column as a whole writes dates: a key of RIVAL_FORMATS, or AMBIGUOUS


@dataclass(frozen=True)
class Plan:
    """Contract columns and extra columns of one source table, by their name in the lake."""

    table: Table
    columns: Mapping[str, Given]
    extras: Mapping[str, Given]
    guessed: bool = True  # whether dates and extras were judged by the first rows alone

    @property
    def missing(self) -> list[str]:
        """Required columns that the source does not have."""
        return [name for name in self.table.required if name not in self.columns]

    @property
    def unsure(self) -> list[str]:
        """Columns whose reading was guessed from their values."""
        moments = [
            name
            for name, given in self.columns.items()
            if given.type in ("date", "instant") and not reading.is_moment(given.duck_type)
        ]
        return [*moments, *self.extras]


def tidy(name: str) -> str:
    """A column's name in the lake: lower case, words joined by underscores."""
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_") or "column"


def make(
    table: Table,
    source_types: Mapping[str, str],
    held: Mapping[str, ColumnType],
    connection: DuckDBPyConnection,
    view: str,
    *,
    rows: int | None = SAMPLE_ROWS,
) -> Plan:
    """Match the source's columns (name -> DuckDB type) to the contract and judge the others.

    ``held`` are the types that the lake has for extra columns: those stay. ``rows`` bounds how
    many of the view's rows are looked at; None looks at all.
    """
    columns: dict[str, Given] = {}
    extras: dict[str, Given] = {}
    exact_first = sorted(source_types, key=lambda name: name.strip().lower() != tidy(name))
    for source in exact_first:
        name, duck_type = tidy(source), source_types[source]
        if name == KNOWN_AT and name not in columns:
            columns[name] = Given(source, duck_type, "date")
        elif name in table.column_names and name not in columns:
            columns[name] = Given(source, duck_type, table.column(name).type)
        else:
            free = _free(name, table, extras)
            extras[free] = Given(source, duck_type, held.get(free, "string"))
    plan = Plan(table, columns, extras, guessed=rows is not None)
    return _judge(plan, held, connection, view, rows)


def _free(name: str, table: Table, taken: Mapping[str, Given]) -> str:
    if name in _RESERVED or name in table.column_names or name == KNOWN_AT:
        name = f"source_{name}"
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _judge(
    plan: Plan,
    held: Mapping[str, ColumnType],
    connection: DuckDBPyConnection,
    view: str,
    rows: int | None,
) -> Plan:
    measures: list[str] = []
    for name in plan.unsure:
        given = plan.columns.get(name) or plan.extras[name]
        measures += _date_measures(given) if name in plan.columns else _extra_measures(given)
    if not measures:
        return plan
    limit = f"LIMIT {rows}" if rows is not None else ""
    sample = f"(SELECT * FROM {duck.name(view)} {limit})"
    figures = duck.one(connection, f"SELECT {', '.join(measures)} FROM {sample}") or ()
    columns, extras, place = dict(plan.columns), {}, 0
    for name in plan.unsure:
        if name in plan.columns:
            day_first, month_first = figures[place : place + 2]
            columns[name] = replace(columns[name], rival=_rival(day_first, month_first))
            place += 2
        else:
            judged = _extra_type(plan.extras[name], *figures[place : place + 4])
            place += 4
            if name in held:
                extras[name] = replace(plan.extras[name], type=held[name])
            elif judged is not None:
                extras[name] = replace(plan.extras[name], type=judged)
    judged_plan = replace(plan, columns=columns, extras=extras)
    ambiguous = any(given.rival == AMBIGUOUS for given in columns.values())
    undecided = len(extras) < len(plan.extras)
    if rows is not None and (ambiguous or undecided):
        return _judge(replace(plan, guessed=False), held, connection, view, None)
    return judged_plan


def _rival(day_first: int, month_first: int) -> str:
    if day_first == month_first:
        return AMBIGUOUS if day_first else ""
    return "day first" if day_first > month_first else "month first"


def _date_measures(given: Given) -> list[str]:
    """How many values no plain reading takes, but each rival reading does."""
    trimmed = reading.text(given.source, given.duck_type)
    plain = reading.read(given.source, given.duck_type, "date", "", "UTC")
    # Reading with a rival is slow, and most columns have no value that needs it.
    return [
        f"count(CASE WHEN {trimmed} IS NOT NULL AND {plain} IS NULL THEN"
        f" {reading.read(given.source, given.duck_type, 'date', rival, 'UTC')} END)"
        for rival in reading.RIVAL_FORMATS
    ]


def _extra_measures(given: Given) -> list[str]:
    """Values there are; of these numbers, ISO dates, words for true or false."""
    trimmed = reading.text(given.source, given.duck_type)
    if given.duck_type == "VARCHAR":
        numbers = f"count(*) FILTER (regexp_matches({trimmed}, {duck.text(_PLAIN_NUMBER)}))"
    elif reading.is_integer(given.duck_type):
        quoted = duck.name(given.source)
        numbers = f"count(*) FILTER (abs({quoted}::HUGEINT) <= {_EXACT_IN_DOUBLE})"
    else:
        numbers = f"count({trimmed})" if reading.is_number(given.duck_type) else "0"
    words = "('true', 'false', 'yes', 'no')"
    return [
        f"count({trimmed})",
        numbers,
        f"count(*) FILTER (length({trimmed}) = 10 AND TRY_CAST({trimmed} AS DATE) IS NOT NULL)",
        f"count(*) FILTER (lower({trimmed}) IN {words})",
    ]


def _extra_type(
    given: Given, values: int, numbers: int, dates: int, words: int
) -> ColumnType | None:
    """The type that all values have; None where there is no value to judge by."""
    if values == 0:
        return None
    if given.duck_type == "BOOLEAN" or words == values:
        return "bool"
    if numbers == values:
        return "float"
    if given.duck_type == "DATE" or dates == values:
        return "date"
    return "instant" if given.duck_type.startswith("TIMESTAMP") else "string"
