"""What happened on which day: declarations that turn contract tables into dated events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow.compute as pc

OWN_DATED: Mapping[str, Mapping[str, str]] = {
    "invoices": {"paid_on": "paid_on"},
    "quotes": {"won": "decided_on", "decided_on": "decided_on"},
    "clients": {"ended_on": "ended_on"},
}
"""Columns that hold their final value, and the column with the day on which that was known."""

Operand: TypeAlias = str | Any
"""A column name or a ``pyarrow.compute`` expression (which has no type stubs)."""


def expression(operand: Operand) -> Any:
    """A column name or an Arrow expression, as an expression."""
    return pc.field(operand) if isinstance(operand, str) else operand


@dataclass(frozen=True)
class Lookup:
    """Columns of a versioned table, joined by key as they were known on the event's own day.

    Services' list prices and unit costs change; a line gets the ones its firm knew that day, so
    a later change never moves it. The columns appear under their own names, null where unknown.
    """

    table: str
    key: str
    columns: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """A JSON-ready account of the declaration."""
        return {"table": self.table, "key": self.key, "columns": list(self.columns)}


@dataclass(frozen=True, eq=False)
class EventTable:
    """Events of a contract table: the day each happens and the values it carries.

    ``day`` and ``values`` are column names or ``pyarrow.compute`` expressions over the table's
    columns. Dates are int32 days there, so that ``paid_on - due_on`` is a number of days. A row
    whose day is null is no event. Numbers are summed after rounding to ``decimals`` decimals;
    booleans serve as ``where`` of a feature; strings can be counted as distinct values.

    Own-dated columns (``OWN_DATED``) are read as known on the event's own day. A ``day`` that
    reads one must be null where that column is null, and never earlier than its date; anything
    else would move an event after the fact, and extraction refuses it.
    """

    name: str
    table: str
    day: Operand
    values: Mapping[str, Operand] = field(default_factory=dict)
    lookup: Lookup | None = None
    decimals: int = 4
    _text: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        if not 0 <= self.decimals <= 9:
            raise ValueError(f"events {self.name!r}: decimals must be 0 to 9, got {self.decimals}")
        object.__setattr__(self, "_text", json.dumps(self.describe(), sort_keys=True))

    def describe(self) -> dict[str, Any]:
        """A JSON-ready account of the declaration; the schema hash is made of these."""
        return {
            "name": self.name,
            "table": self.table,
            "day": str(expression(self.day)),
            "values": {name: str(expression(value)) for name, value in self.values.items()},
            "lookup": self.lookup.describe() if self.lookup else None,
            "decimals": self.decimals,
        }

    def value(self, name: str) -> Any:
        """The expression of a value; an undeclared name is a column of the table."""
        return expression(self.values.get(name, name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventTable) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
