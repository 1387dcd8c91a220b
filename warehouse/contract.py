"""The input contract: which tables a source may hold, their columns, types, keys and rules.

One declaration gives ingestion, the quality suites, the source checker and the page
``docs/input-contract.md`` (written by ``warehouse.contract_page``; a test compares the two).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "float", "int", "bool", "date", "instant"]

EARLIEST = dt.date(1900, 1, 1)
LATEST = dt.date(2199, 12, 31)  # later days do not fit the nanosecond instants of pandas
EPOCH = dt.date(1970, 1, 1)
MONEY_LIMIT = 1e12  # sums are kept as scaled 64-bit integers, so one row must stay far below 2**63

KNOWN_AT = "known_at"
#: Columns of the lake's change log; a source may not use these names for its own.
LOG_COLUMNS = ("change", "seen_on", "snapshot")


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
    versioned: bool = (
        False  # changes without a date of its own: a change holds from the day we saw it
    )
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


def _money(name: str, description: str, *, required: bool = False, signed: bool = True) -> Column:
    low = -MONEY_LIMIT if signed else 0.0
    return Column(
        name, "float", required, minimum=low, maximum=MONEY_LIMIT, description=description
    )


def _id(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, "string", required, description=description)


_CLIENTS = Table(
    name="clients",
    description="Who is billed.",
    key=("client_id",),
    date_column="started_on",
    orders=(Order("started_on", "ended_on"),),
    columns=(
        _id("client_id", "the client's id", required=True),
        Column("name", "string", versioned=True, description="the client's name"),
        Column("segment", "string", versioned=True, description="group for prices and reports"),
        Column("region", "string", versioned=True, description="where the client is"),
        Column("started_on", "date", description="first day as a client"),
        Column(
            "ended_on",
            "date",
            known_by="ended_on",
            may_be_empty=True,
            description="last day as a client",
        ),
    ),
)
_SERVICES = Table(
    name="services",
    description="What is sold.",
    key=("service_id",),
    date_column=None,
    columns=(
        _id("service_id", "the service's id", required=True),
        Column("name", "string", versioned=True, description="the service's name"),
        Column("category", "string", versioned=True, description="group of services"),
        Column(
            "list_price",
            "float",
            versioned=True,
            minimum=0.0,
            maximum=MONEY_LIMIT,
            description="price of one unit before any agreement",
        ),
        Column(
            "unit_cost",
            "float",
            versioned=True,
            minimum=0.0,
            maximum=MONEY_LIMIT,
            description="what one unit costs the firm",
        ),
    ),
)
_INVOICES = Table(
    name="invoices",
    description="What was billed, when it is due, when it was paid.",
    key=("invoice_id",),
    date_column="issued_on",
    columns=(
        _id("invoice_id", "the invoice's number", required=True),
        _id("client_id", "who is billed", required=True),
        Column("issued_on", "date", required=True, description="the invoice's date"),
        _money("amount", "total; negative for a credit note"),
        Column("due_on", "date", description="last day to pay without being late"),
        Column(
            "paid_on",
            "date",
            known_by="paid_on",
            may_be_empty=True,
            description="day of full payment",
        ),
        Column(
            "disputed",
            "bool",
            versioned=True,
            may_be_empty=True,
            description="the client contests it",
        ),
    ),
)
_INVOICE_LINES = Table(
    name="invoice_lines",
    description="The positions of the invoices: the table that most models need.",
    key=("line_id",),
    date_column="issued_on",
    derived_key=True,
    columns=(
        _id("line_id", "the line's id; derived where it is missing"),
        _id("client_id", "who is billed", required=True),
        _id("service_id", "what for", required=True),
        Column("issued_on", "date", required=True, description="the line's or its invoice's date"),
        _money("quantity", "units; negative for a credit", required=True),
        _money("unit_price", "price of one unit; 0 is legal", required=True, signed=False),
        _id("invoice_id", "the invoice it stands on"),
        _money("amount", "line total; quantity x unit_price where it is missing"),
        _money("cost", "what the line cost the firm, in total"),
    ),
)
_WORK_ENTRIES = Table(
    name="work_entries",
    description="Work done: hours, tickets, units delivered.",
    key=("entry_id",),
    date_column="worked_on",
    derived_key=True,
    columns=(
        _id("entry_id", "the entry's id; derived where it is missing"),
        _id("client_id", "whom for", required=True),
        _id("service_id", "what", required=True),
        Column("worked_on", "date", required=True, description="the day of the work"),
        _money("quantity", "units worked, in the service's unit", required=True),
        _money("cost", "what the work cost the firm, in total"),
        Column("billable", "bool", versioned=True, description="is to be billed"),
        Column(
            "line_id",
            "string",
            versioned=True,
            may_be_empty=True,
            description="the invoice line that bills it",
        ),
    ),
)
_RATES = Table(
    name="rates",
    description="Agreed prices, for a client or for everyone.",
    key=("service_id", "client_id", "valid_from"),
    optional_key=("client_id",),
    date_column="valid_from",
    orders=(Order("valid_from", "valid_to"),),
    columns=(
        _id("service_id", "what", required=True),
        Column("client_id", "string", may_be_empty=True, description="for whom; empty: everyone"),
        Column("valid_from", "date", required=True, description="first day of the price"),
        _money("unit_price", "agreed price of one unit", required=True, signed=False),
        Column(
            "valid_to",
            "date",
            versioned=True,
            may_be_empty=True,
            description="last day of the price",
        ),
    ),
)
_QUOTES = Table(
    name="quotes",
    description="Prices offered, and whether they were taken.",
    key=("quote_id",),
    date_column="quoted_on",
    derived_key=True,
    orders=(Order("quoted_on", "decided_on"),),
    columns=(
        _id("quote_id", "the quote's id; derived where it is missing"),
        _id("service_id", "what", required=True),
        Column("quoted_on", "date", required=True, description="the day of the offer"),
        _money("quoted_price", "price of one unit", required=True, signed=False),
        Column(
            "won",
            "bool",
            known_by="decided_on",
            may_be_empty=True,
            description="taken or not; empty while open",
        ),
        _id("client_id", "to whom"),
        _money("quantity", "units offered"),
        _money("unit_cost", "what one unit would cost the firm", signed=False),
        Column(
            "decided_on",
            "date",
            known_by="decided_on",
            may_be_empty=True,
            description="the day of the answer",
        ),
    ),
)
_CHANNEL_SPEND = Table(
    name="channel_spend",
    description="Marketing spend by channel and day, week or month.",
    key=("channel", "spent_on"),
    date_column="spent_on",
    summed="amount",
    columns=(
        _id("channel", "the channel's name", required=True),
        Column("spent_on", "date", required=True, description="first day of the period"),
        _money("amount", "money spent; rows of one key are summed", required=True, signed=False),
    ),
)
_SERIES = Table(
    name="series",
    description="Any measured series: demand, load, an outcome, a control.",
    key=("series_id", "observed_at"),
    date_column="observed_at",
    columns=(
        _id("series_id", "the series' name", required=True),
        Column("observed_at", "instant", required=True, description="local time; a date is 00:00"),
        Column("value", "float", required=True, description="the measured value"),
    ),
)
_CLIENT_OUTCOMES = Table(
    name="client_outcomes",
    description="A firm's own labels, for instance outcome `churned`.",
    key=("client_id", "observed_on", "outcome"),
    date_column="observed_on",
    columns=(
        _id("client_id", "the client", required=True),
        Column("observed_on", "date", required=True, description="the day it was observed"),
        _id("outcome", "what was observed", required=True),
        Column("value", "float", required=True, description="1 or 0, or an amount"),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _CLIENTS,
        _SERVICES,
        _INVOICES,
        _INVOICE_LINES,
        _WORK_ENTRIES,
        _RATES,
        _QUOTES,
        _CHANNEL_SPEND,
        _SERIES,
        _CLIENT_OUTCOMES,
    )
}


def table(name: str) -> Table:
    """The declaration of a table; an unknown name is a KeyError that lists the ten."""
    if name not in TABLES:
        raise KeyError(
            f"{name!r} is not a table of the input contract; there are: {', '.join(TABLES)}"
        )
    return TABLES[name]
