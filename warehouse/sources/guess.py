"""Guesses which contract table a file of another system is, and which column is which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse import contract, duck
from warehouse.contract_types import Table
from warehouse.ingestion import reading
from warehouse.sources.folder import read_csv
from warehouse.sources.synonyms import COLUMNS, FILES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLE_ROWS = 5_000
#: A quote without any of these looks like an invoice line, and is one more often.
_TELLING = {"quotes": {"quote_id", "won", "decided_on"}}
_FITS = 0.9  # share of a column's values that must read as the contract's type


@dataclass(frozen=True)
class Seen:
    """A file as it is: columns and their DuckDB types, and which types their values fit.

    ``unique`` are columns whose values do not repeat.
    """

    path: Path
    types: Mapping[str, str]
    fits: Mapping[str, frozenset[str]]
    unique: frozenset[str]

    @property
    def relation(self) -> str:
        """SQL that reads the file from a mapping in the same folder."""
        reader = "read_parquet" if self.path.suffix == ".parquet" else "read_csv"
        options = "" if reader == "read_parquet" else ", all_varchar = true, header = true"
        return f"{reader}({duck.text(self.path.name)}{options})"


@dataclass(frozen=True)
class Guess:
    """A file taken as a table: contract column -> SQL over the file, and how sure we are.

    ``notes`` say what was assumed; ``used`` are the file's columns that are mapped.
    """

    seen: Seen
    table: Table
    columns: Mapping[str, str]
    used: frozenset[str]
    score: float
    notes: list[str] = field(default_factory=list)


def look(path: Path, connection: DuckDBPyConnection) -> Seen:
    """Read a file's first rows and see which types its columns' values fit."""
    if path.suffix == ".parquet":
        relation = connection.sql(f"SELECT * FROM read_parquet({duck.text(str(path))})")
    else:
        relation = read_csv(path, connection)
    relation.limit(SAMPLE_ROWS).create("looked_at")
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    fits: dict[str, frozenset[str]] = {}
    unique = set()
    for name, kind in types.items():
        present = reading.text(name, kind)
        wanted = {"float": "float", "bool": "bool", "date": "date"}
        counts = ", ".join(_readable(name, kind, each) for each in wanted)
        found = duck.one(
            connection,
            f"SELECT count({present}), count(DISTINCT {present}), {counts} FROM looked_at",
        )
        values, distinct, *readable = found or (0, 0, 0, 0, 0)
        fits[name] = frozenset(
            each for each, count in zip(wanted, readable, strict=True)
            if values and count >= _FITS * values
        ) | {"string"}  # fmt: skip
        if values and distinct == values:
            unique.add(name)
    connection.execute("DROP TABLE looked_at")
    return Seen(path, types, fits, frozenset(unique))


def _readable(name: str, kind: str, wanted: str) -> str:
    if wanted != "date":
        return f"count({reading.read(name, kind, wanted, '', 'UTC')})"  # type: ignore[arg-type]
    if reading.is_number(kind):
        return "0"
    readings = [
        reading.read(name, kind, "date", rival, "UTC") for rival in ("", *reading.RIVAL_FORMATS)
    ]
    return f"count(coalesce({', '.join(readings)}))"


def normal(name: str) -> str:
    """A heading as the synonyms have it: ``*ContactName`` and ``Contact Name`` are one."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\W_]+", "_", spaced).strip("_").lower()


def guess(seen: Seen, table: Table) -> Guess | None:
    """The file as this table; None where a required column cannot be found or worked out."""
    headings = {normal(name): name for name in reversed(list(seen.types))}
    columns: dict[str, str] = {}
    used: set[str] = set()
    exact = 0
    for column in sorted(table.columns, key=lambda one: not one.required):
        wanted = "date" if column.type == "instant" else column.type
        names = (column.name, *COLUMNS[table.name].get(column.name, ()))
        for name in names:
            heading = headings.get(name)
            if heading is None or heading in used or wanted not in seen.fits[heading]:
                continue
            columns[column.name] = duck.name(heading)
            used.add(heading)
            exact += column.name == name
            break
    notes = _work_out(table, columns)
    if any(name not in columns for name in table.required):
        return None
    if not table.derived_key and not _keyed(seen, table, columns):
        return None
    stem = normal(seen.path.stem)
    hint = any(word in stem for word in FILES[table.name])
    telling = _TELLING.get(table.name)
    if telling and not hint and not telling & set(columns):
        return None
    score = 2.0 * len(columns) + exact + 4.0 * hint + 0.5 * len(table.required)
    return Guess(seen, table, columns, frozenset(used), score, notes)


def _keyed(seen: Seen, table: Table, columns: Mapping[str, str]) -> bool:
    """Whether the key can be one: of a single column, its values may not repeat."""
    if len(table.key) > 1 or table.summed:
        return True
    return any(duck.name(name) == columns.get(table.key[0]) for name in seen.unique)


def _work_out(table: Table, columns: dict[str, str]) -> list[str]:
    """Fill required columns of lines that follow from others; returns what was assumed."""
    if table.name != "invoice_lines" or "client_id" not in columns:
        return []
    notes = []
    amount = columns.get("amount")
    if "quantity" not in columns and amount and "unit_price" not in columns:
        number = f"TRY_CAST({amount} AS DOUBLE)"
        columns["quantity"] = f"CASE WHEN {number} < 0 THEN -1 ELSE 1 END"
        columns["unit_price"] = f"abs({number})"
        notes.append("there is no quantity: every line counts as one unit at its amount")
    elif "unit_price" not in columns and amount and "quantity" in columns:
        quantity = f"TRY_CAST({columns['quantity']} AS DOUBLE)"
        columns["unit_price"] = f"TRY_CAST({amount} AS DOUBLE) / nullif({quantity}, 0)"
        notes.append("the unit price is the amount divided by the quantity")
    return notes


def best(seen: Seen) -> list[Guess]:
    """Tables that the file may be, the likeliest first."""
    found = [guess(seen, table) for table in contract.TABLES.values()]
    return sorted((one for one in found if one), key=lambda one: -one.score)
