"""What a table of the input contract is made of: columns, keys, rules of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "float", "int", "bool", "date", "instant"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, whether it must be there, when it is known, which values it takes.

    ``versioned`` marks what changes without a date of its own: a change holds from the day we saw
    it. ``known_by`` names the date column that says when the value became known. ``may_be_empty``
    columns may be empty in every row without a word about it.
    """

    name: str
    type: ColumnType
    required: bool = False
    versioned: bool = False
    known_by: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    may_be_empty: bool = False
    description: str = ""

    @property
    def not_null(self) -> bool:
        """A required column may not be empty in any row."""
        return self.required


@dataclass(frozen=True, slots=True)
class Order:
    """A rule over two date columns: ``later`` is not before ``earlier`` where both are given."""

    earlier: str
    later: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the contract; ``key`` names a row, ``date_column`` is the day it happened."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    date_column: str | None
    description: str
    derived_key: bool = False  # a missing key is made from the row's other columns
    optional_key: tuple[str, ...] = ()  # key columns that may be empty
    summed: str | None = None  # rows of one key are added up in this column
    orders: tuple[Order, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The contract's columns, in order, without ``known_at``."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a source must have and fill in every row."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def own_dated(self) -> dict[str, str]:
        """Columns that are known by a date column: ``{"won": "decided_on", …}``."""
        return {column.name: column.known_by for column in self.columns if column.known_by}

    @property
    def version_columns(self) -> tuple[str, str]:
        """Names of a row version's first day and the day after its last one in a snapshot.

        ``valid_from`` and ``valid_to``, but ``rates`` has columns of its own by these names.
        """
        if "valid_from" in self.column_names:
            return "version_from", "version_to"
        return "valid_from", "valid_to"

    def column(self, name: str) -> Column:
        """The declaration of a column; KeyError names the columns there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(
            f"table {self.name} has no column {name!r}; it has {list(self.column_names)}"
        )
