"""Small tables with everything that makes time hard: delays, revisions, removals, nulls."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

AS_OFS = (date(2023, 12, 31), date(2024, 1, 31), date(2024, 7, 31))
CLIENTS = ("a", "b", "é d")
SERVICES = ("s1", "s2")
DAYS = sorted(
    {
        as_of - timedelta(days=back + shift)
        for as_of in AS_OFS
        for back in (-20, 0, 7, 30, 60, 90, 180, 275, 365, 500)
        for shift in (-1, 0, 1)
    }
)
"""Days at the edges of the windows, where an error by one shows."""

DATE, TEXT, NUMBER, FLAG = pa.date32(), pa.string(), pa.float64(), pa.bool_()
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "invoice_lines": {
        "client_id": TEXT,
        "service_id": TEXT,
        "issued_on": DATE,
        "quantity": NUMBER,
        "unit_price": NUMBER,
        "amount": NUMBER,
        "cost": NUMBER,
    },
    "invoices": {
        "client_id": TEXT,
        "issued_on": DATE,
        "amount": NUMBER,
        "due_on": DATE,
        "paid_on": DATE,
        "disputed": FLAG,
    },
    "work_entries": {
        "client_id": TEXT,
        "worked_on": DATE,
        "quantity": NUMBER,
        "cost": NUMBER,
        "billable": FLAG,
    },
    "quotes": {"client_id": TEXT, "quoted_on": DATE, "decided_on": DATE, "won": FLAG},
    "services": {"service_id": TEXT, "list_price": NUMBER, "unit_cost": NUMBER},
    "clients": {
        "client_id": TEXT,
        "segment": TEXT,
        "seats": NUMBER,
        "started_on": DATE,
        "ended_on": DATE,
    },
}
OWN_DAY = {
    "invoice_lines": "issued_on",
    "invoices": "issued_on",
    "work_entries": "worked_on",
    "quotes": "quoted_on",
}
KEYED = {"services": ("service_id", SERVICES), "clients": ("client_id", CLIENTS)}
OWN_DATED = {
    ("invoices", "paid_on"): "paid_on",
    ("quotes", "won"): "decided_on",
    ("quotes", "decided_on"): "decided_on",
    ("clients", "ended_on"): "ended_on",
}
KNOWLEDGE = {"known_at": DATE, "valid_from": DATE, "valid_to": DATE}
Row = dict[str, Any]
Rows = dict[str, list[Row]]


def cell(chance: random.Random, column: str, kind: Any) -> Any:
    """A value of a column, null now and then where the contract allows."""
    required = {"service_id", "issued_on", "worked_on", "quoted_on", "quantity", "unit_price"}
    if column not in required and chance.random() < 0.15:
        return None
    if column == "client_id":
        return chance.choice(CLIENTS)
    if column == "service_id":
        return chance.choice(SERVICES)
    if kind is DATE:
        return chance.choice(DAYS)
    if kind is FLAG:
        return chance.random() < 0.5
    if kind is TEXT:
        return chance.choice(["x", "y"])
    return chance.choice([0.0, 0.1, 0.2, 0.3, 1.0, -0.7, 19.99, 1234.5678, 1e6, 0.00005])


def row_versions(chance: random.Random, table: str, fixed: Row) -> list[Row]:
    """One row, or its successive versions with different values; the last may be removed."""
    schema = SCHEMAS[table]

    def values() -> Row:
        return {name: cell(chance, name, kind) for name, kind in schema.items()} | fixed

    row = values()
    own = row.get(OWN_DAY.get(table, ""), date(1970, 1, 1))
    row["known_at"] = own + timedelta(days=chance.choice([0, 0, 0, 1, 45, -3]))
    if table in KEYED and chance.random() < 0.3:
        row["known_at"] = chance.choice(DAYS)
    row |= {"valid_from": None, "valid_to": None}
    versions = [row]
    while chance.random() < 0.3:
        changed = chance.choice(DAYS)
        since = versions[-1]["valid_from"] or versions[-1]["known_at"]
        if changed <= since:
            break
        versions[-1]["valid_to"] = changed
        versions.append(values() | {"known_at": row["known_at"]})
        versions[-1] |= {"valid_from": changed, "valid_to": None}
        for column in (OWN_DAY.get(table), *(c for t, c in OWN_DATED if t == table)):
            if column:
                versions[-1][column] = row[column]
    if chance.random() < 0.15:
        versions[-1]["valid_to"] = chance.choice(DAYS)
    return versions


def make_rows(chance: random.Random, most: int = 12) -> Rows:
    """All tables as lists of row versions."""
    rows: Rows = {}
    for table in SCHEMAS:
        if table in KEYED:
            key, values = KEYED[table]
            fixed: list[Row] = [{key: value} for value in values if chance.random() < 0.9]
        else:
            fixed = [{} for _ in range(chance.randrange(most))]
        rows[table] = [v for row in fixed for v in row_versions(chance, table, row)]
    return rows


def to_tables(rows: Rows) -> dict[str, pa.Table]:
    """As a snapshot read gives them."""
    return {
        name: pa.Table.from_pylist(found, schema=pa.schema({**SCHEMAS[name], **KNOWLEDGE}))
        for name, found in rows.items()
    }


def seeds() -> st.SearchStrategy[random.Random]:
    """Seeded chance: a failing example is told by its seed."""
    return st.integers(0, 2**32 - 1).map(random.Random)


def map_rows(rows: Rows, change: Callable[[str, Row], Row | None]) -> Rows:
    """Every row changed, or dropped where ``change`` gives None."""
    return {
        table: [new for row in found if (new := change(table, dict(row))) is not None]
        for table, found in rows.items()
    }
