"""The input contract: which tables a source may hold, their columns, types, keys and rules.

One declaration gives ingestion, the quality suites, the source checker and the page
``docs/input-contract.md`` (written by ``warehouse.contract_page``; a test compares the two).
"""

from __future__ import annotations

import datetime as dt

from warehouse.contract_types import Column, Order, Table

EARLIEST = dt.date(1900, 1, 1)
LATEST = dt.date(2199, 12, 31)  # later days do not fit the nanosecond instants of pandas
EPOCH = dt.date(1970, 1, 1)
MONEY_LIMIT = 1e12  # sums are kept as scaled 64-bit integers, so one row must stay far below 2**63

KNOWN_AT = "known_at"
#: Columns of the lake's change log; a source may not use these names for its own.
LOG_COLUMNS = ("change", "seen_on", "snapshot")


def _money(name: str, description: str, *, required: bool = False, signed: bool = True) -> Column:
    low = -MONEY_LIMIT if signed else 0.0
    return Column(
        name, "float", required, minimum=low, maximum=MONEY_LIMIT, description=description
    )


def _day(
    name: str,
    description: str,
    *,
    required: bool = False,
    known_by: str | None = None,
    may_be_empty: bool = False,
) -> Column:
    return Column(
        name,
        "date",
        required,
        known_by=known_by,
        may_be_empty=may_be_empty,
        description=description,
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
        _day("started_on", "first day as a client"),
        _day("ended_on", "last day as a client", known_by="ended_on", may_be_empty=True),
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
        _day("issued_on", "the invoice's date", required=True),
        _money("amount", "total; negative for a credit note"),
        _day("due_on", "last day to pay without being late"),
        _day("paid_on", "day of full payment", known_by="paid_on", may_be_empty=True),
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
        _day("issued_on", "the line's or its invoice's date", required=True),
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
        _day("worked_on", "the day of the work", required=True),
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
        _day("valid_from", "first day of the price", required=True),
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
        _day("quoted_on", "the day of the offer", required=True),
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
        _day("decided_on", "the day of the answer", known_by="decided_on", may_be_empty=True),
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
        _day("spent_on", "first day of the period", required=True),
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
        _day("observed_on", "the day it was observed", required=True),
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
