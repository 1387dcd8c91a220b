"""The client's events: what was billed and worked, and what counts as margin on this source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ml.features.declarations import Feature, Sum
from ml.features.derived import Difference
from ml.features.events import EventTable, Lookup, Operand
from ml.features.labels import Term


@dataclass(frozen=True)
class MarginBasis:
    """What a client's margin is the sum of on this source; ``revenue`` where there is no cost."""

    basis: Literal["margin", "revenue"]
    terms: tuple[Term, ...]

    def over(self, name: str, days: int | None, ending_days_ago: int = 0) -> Feature:
        """The margin over a window as one feature."""
        parts = [
            Sum(name, term.table, term.column, days, ending_days_ago=ending_days_ago)
            for term in self.terms
        ]
        return parts[0] if len(parts) == 1 else Difference(name, parts[0], parts[1])


def has(tables: Mapping[str, Any], table: str, *columns: str) -> bool:
    """Whether a table is there with these columns, none of them entirely empty."""
    if table not in tables:
        return False
    held = tables[table]
    for column in columns:
        if column not in held.schema.names or pa.types.is_null(held.schema.field(column).type):
            return False
        if isinstance(held, pa.Table) and held[column].null_count == held.num_rows > 0:
            return False
    return True


def line_events(tables: Mapping[str, Any]) -> EventTable:
    """Invoice lines on their day: amount (default quantity x unit price), margin, list value."""
    billed = pc.field("quantity") * pc.field("unit_price")
    amount = pc.coalesce(pc.field("amount"), billed) if _held(tables, "amount") else billed
    values: dict[str, Operand] = {
        "amount": amount,
        "quantity": "quantity",
        "service_id": "service_id",
        "is_credit": amount < pc.scalar(0.0),
        "is_sale": amount > pc.scalar(0.0),
    }
    lookup = None
    columns = tuple(
        c
        for c in ("list_price", "unit_cost")
        if has(tables, "services", c) and not _held(tables, c)
    )
    if columns:
        lookup = Lookup("services", "service_id", columns)
    cost = pc.field("cost") if _held(tables, "cost") else None
    if "unit_cost" in columns:
        standard = pc.field("quantity") * pc.field("unit_cost")
        cost = standard if cost is None else pc.coalesce(cost, standard)
    if cost is not None:
        values["margin"] = amount - pc.coalesce(cost, pc.scalar(0.0))
    if "list_price" in columns:
        listed = pc.field("quantity") * pc.field("list_price")
        values["list_value"] = pc.if_else(amount > pc.scalar(0.0), listed, pc.scalar(0.0))
        values["listed_amount"] = pc.if_else(
            (amount > pc.scalar(0.0)) & pc.field("list_price").is_valid(), amount, pc.scalar(0.0)
        )
    return EventTable("lines", "invoice_lines", "issued_on", values, lookup)


def _held(tables: Mapping[str, Any], column: str) -> bool:
    return has(tables, "invoice_lines", column)


def margin_basis(tables: Mapping[str, Any]) -> MarginBasis:
    """Cost by line where lines carry it, else by work entry, else by unit of service, or none."""
    lines = line_events(tables)
    if _held(tables, "cost"):
        return MarginBasis("margin", (Term(lines, "margin"),))
    if has(tables, "work_entries", "cost"):
        return MarginBasis("margin", (Term(lines, "amount"), Term(work_events(tables), "cost", -1)))
    if "margin" in lines.values:
        return MarginBasis("margin", (Term(lines, "margin"),))
    return MarginBasis("revenue", (Term(lines, "amount"),))


def work_events(tables: Mapping[str, Any]) -> EventTable:
    """Work entries on the day worked."""
    values: dict[str, Operand] = {"quantity": "quantity"}
    if has(tables, "work_entries", "cost"):
        values["cost"] = "cost"
    if has(tables, "work_entries", "billable"):
        values["is_unbillable"] = pc.invert(pc.field("billable"))
    return EventTable("work", "work_entries", "worked_on", values)
