"""Reads one source table into a working table: cast, judged row by row, keyed, repeats found.

A working table's rows are the source's rows in their order (``rowid`` + 1 is the row number). Its
columns are the lake's, and ``__state`` (GOOD, BAD, REPEAT), ``__reasons`` and ``__came`` (the row
as the source has it) for bad rows, and ``__derived`` (its key is made from its other columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse import contract, duck
from warehouse.contract import KNOWN_AT
from warehouse.contract_types import Column, Table
from warehouse.ingestion import reading
from warehouse.ingestion.plan import AMBIGUOUS, Given, Plan

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

GOOD, BAD, REPEAT = 0, 1, 2
_DATES = f"DATE '{contract.EARLIEST}' AND TIMESTAMP '{contract.LATEST} 23:59:59.999999'"
_SEPARATOR = "chr(31)"


@dataclass(frozen=True)
class Stage:
    """The working table of one source table: its name, its lake columns and their types."""

    table: Table
    name: str
    columns: dict[str, str]

    @property
    def good(self) -> str:
        """SQL of the rows that go on."""
        return f"(SELECT * FROM {self.name} WHERE __state = {GOOD})"


def stage(plan: Plan, view: str, connection: DuckDBPyConnection, timezone: str) -> Stage:
    """Cast and judge every row of the view; nothing is dropped.

    Raises duckdb.Error where the source itself cannot be read.
    """
    table, working = plan.table, duck.name(f"stage_{plan.table.name}")
    given = {**plan.columns, **plan.extras}
    casts = ", ".join(
        f"{_read(column, timezone)} AS {_value(name)}" for name, column in given.items()
    )
    types = _types(plan)
    values = ", ".join(f"{_final(plan, name)} AS {duck.name(name)}" for name in types)
    wrong = " OR ".join(f"({condition})" for condition in _wrong(plan)) or "false"
    connection.execute(
        f"CREATE OR REPLACE TABLE {working} AS SELECT {values},"
        f" CASE WHEN __bad THEN {BAD} ELSE {GOOD} END::UTINYINT AS __state,"
        f" CASE WHEN __bad THEN __src END AS __came, NULL::VARCHAR AS __reasons,"
        f" {_derived(plan)} AS __derived"
        f" FROM (SELECT *, coalesce({wrong}, false) AS __bad FROM"
        f" (SELECT __src, {casts} FROM {duck.name(view)} __src))"
    )
    # Only few rows are bad, and putting their reasons into words takes longer than all the rest.
    reasons = ", ".join(
        f"CASE WHEN {condition} THEN {said} END" for condition, said in _checks(plan)
    )
    connection.execute(
        f"UPDATE {working} SET __reasons = told.reasons FROM (SELECT __place,"
        f" concat_ws('; ', {reasons or 'NULL'}) AS reasons FROM (SELECT __place, __src, {casts}"
        f" FROM (SELECT __came AS __src, rowid AS __place, unnest(__came) FROM {working}"
        f" WHERE __state = {BAD}))) told WHERE {working}.rowid = told.__place"
    )
    staged = Stage(table, working, types)
    if table.derived_key:
        _number_twins(staged, connection)
    return staged


def _read(given: Given, timezone: str) -> str:
    return reading.read(given.source, given.duck_type, given.type, given.rival, timezone)


def _value(name: str) -> str:
    return duck.name(f"v:{name}")


def _raw(given: Given) -> str:
    """The source's value as text; a struct field, since its name may be one of ours."""
    inner = reading.text(given.source, given.duck_type)
    return inner.replace(duck.name(given.source), f"__src.{duck.name(given.source)}")


def _types(plan: Plan) -> dict[str, str]:
    """The lake's columns and DuckDB types: the contract's that are there, ``known_at``, extras."""
    table = plan.table
    present = {column.name for column in table.columns if column.name in plan.columns}
    if table.derived_key:
        present.update(table.key)
    if table.name == "invoice_lines":
        present.add("amount")
    present.update(table.optional_key)
    types = {
        column.name: reading.DUCK_TYPES[column.type]
        for column in table.columns
        if column.name in present
    }
    types[KNOWN_AT] = "DATE"
    return types | {name: reading.DUCK_TYPES[extra.type] for name, extra in plan.extras.items()}


def _final(plan: Plan, name: str) -> str:
    """A lake column's value: as cast, or the contract's default for it."""
    table = plan.table
    if name == KNOWN_AT:
        date = table.date_column
        own = f"{_value(date)}::DATE" if date and date in plan.columns else "NULL"
        told = _value(KNOWN_AT) if KNOWN_AT in plan.columns else "NULL"
        return f"coalesce({told}, {own}, DATE '{contract.EPOCH}')::DATE"
    if table.name == "invoice_lines" and name == "amount":
        return _line_amount(plan)
    if table.derived_key and name in table.key:
        told = _value(name) if name in plan.columns else "NULL"
        return f"coalesce({told}, {_content_id(plan)})"
    return _value(name) if name in plan.columns or name in plan.extras else "NULL::VARCHAR"


def _derived(plan: Plan) -> str:
    """Whether the row's key is made up by :func:`_content_id`."""
    if not plan.table.derived_key:
        return "false"
    key = plan.table.key[0]
    return f"{_value(key)} IS NULL" if key in plan.columns else "true"


def _line_amount(plan: Plan) -> str:
    parts = [_value(name) for name in ("quantity", "unit_price") if name in plan.columns]
    product = f"({parts[0]} * {parts[1]})" if len(parts) == 2 else "NULL::DOUBLE"
    return f"coalesce({_value('amount')}, {product})" if "amount" in plan.columns else product


def _content_id(plan: Plan) -> str:
    """An id from what the row says for good: its contract columns that do not change later.

    MD5, not DuckDB's own hash: ids must outlive DuckDB's next version.
    """
    table = plan.table
    lasting = [
        column.name
        for column in table.columns
        if column.name not in table.key and not column.versioned and not column.known_by
    ]
    parts = [
        f"coalesce({_final(plan, name)}::VARCHAR, '')"
        if name in plan.columns or (table.name == "invoice_lines" and name == "amount")
        else "''"
        for name in lasting
    ]
    return f"left(md5(concat_ws({_SEPARATOR}, {', '.join(parts)})), 24)"


def _wrong(plan: Plan) -> list[str]:
    """Conditions that tell bad rows from good ones, as cheap as can be; _checks tells why."""
    wrong: list[str] = []
    for name, given in plan.columns.items():
        column, value = _declared(plan, name), _value(name)
        if column.required:
            wrong.append(f"{value} IS NULL")
        elif column.type != "string":
            wrong.append(_unread(name, given)[0])
        if column.type == "float":
            low = "'-inf'::DOUBLE" if column.minimum is None else repr(column.minimum)
            high = "'inf'::DOUBLE" if column.maximum is None else repr(column.maximum)
            wrong.append(f"{value} NOT BETWEEN {low} AND {high}")
            if column.minimum is None or column.maximum is None:
                wrong.append(f"NOT isfinite({value})")
        elif column.type in ("date", "instant"):
            wrong.append(f"{value} NOT BETWEEN {_DATES}")
    return [*wrong, *(condition for condition, _ in _row_checks(plan))]


def _declared(plan: Plan, name: str) -> Column:
    return _KNOWN_AT_COLUMN if name == KNOWN_AT else plan.table.column(name)


def _checks(plan: Plan) -> list[tuple[str, str]]:
    """(condition, what is said) of everything that sends a row to quarantine."""
    checks: list[tuple[str, str]] = []
    for name, given in plan.columns.items():
        checks += _column_checks(_declared(plan, name), given)
    return [*checks, *_row_checks(plan)]


def _row_checks(plan: Plan) -> list[tuple[str, str]]:
    """Checks of extra columns, and those over several columns."""
    checks: list[tuple[str, str]] = []
    for name, given in plan.extras.items():
        if given.type != "string":
            checks.append(_unread(name, given, " as in the column's other rows or earlier loads"))
            if given.type == "float":
                checks.append(_infinite(name))
    for order in plan.table.orders:
        if order.earlier in plan.columns and order.later in plan.columns:
            earlier, later = _value(order.earlier), _value(order.later)
            said = (
                f"{duck.text(order.later + ': ')} || {later} || "
                f"{duck.text(f' is before {order.earlier} ')} || {earlier}"
            )
            checks.append((f"{later} < {earlier}", said))
    if plan.table.name == "invoice_lines" and not plan.missing:
        amount, limit = _line_amount(plan), contract.MONEY_LIMIT
        said = f"'amount: ' || {amount} || ' is beyond ±{limit:.0e}'"
        checks.append((f"abs({amount}) > {limit!r}", said))
    return checks


_KNOWN_AT_COLUMN = Column(KNOWN_AT, "date")


def _column_checks(column: Column, given: Given) -> list[tuple[str, str]]:
    value, checks = _value(column.name), []
    if column.type != "string":
        checks.append(_unread(column.name, given))
    if column.required:
        empty = f"CASE WHEN {value} IS NULL THEN {_raw(given)} IS NULL ELSE false END"
        checks.append((empty, duck.text(f"{column.name} is missing")))
    if column.type == "float":
        checks.append(_infinite(column.name))
        prefix = f"{duck.text(column.name + ': ')} || {value}"
        finite = f"isfinite({value}) AND {value}"
        if column.minimum is not None:
            said = duck.text(f" is below {column.minimum:g}")
            checks.append((f"{finite} < {column.minimum!r}", f"{prefix} || {said}"))
        if column.maximum is not None:
            said = duck.text(f" is above {column.maximum:g}")
            checks.append((f"{finite} > {column.maximum!r}", f"{prefix} || {said}"))
    if column.type in ("date", "instant"):
        years = f" is not within {contract.EARLIEST.year} to {contract.LATEST.year}"
        said = f"{duck.text(column.name + ': ')} || {value} || {duck.text(years)}"
        checks.append((f"{value} NOT BETWEEN {_DATES}", said))
    return checks


def _unread(name: str, given: Given, more: str = "") -> tuple[str, str]:
    raw, value = _raw(given), _value(name)
    kind = f"is not {reading.KIND[given.type]}{more}"
    if given.rival == AMBIGUOUS:
        kind = (
            "may be day/month or month/day, as may every row of the column;"
            " say which in a .sql mapping, for instance strptime(column, '%d/%m/%Y')"
        )
    said = f"{duck.text(name)} || ': ''' || left({raw}, 60) || ''' ' || {duck.text(kind)}"
    # CASE, since both sides of an AND would be worked out for every row.
    return f"CASE WHEN {value} IS NULL THEN {raw} IS NOT NULL ELSE false END", said


def _infinite(name: str) -> tuple[str, str]:
    value = _value(name)
    return f"NOT isfinite({value})", duck.text(f"{name} is not a finite number")


def _number_twins(staged: Stage, connection: DuckDBPyConnection) -> None:
    """Give rows of equal content different ids: the first keeps its id, then -2, -3 and so on.

    Twins are ordered by what may change later, decided ones first and by their day, so that an
    open one which is decided tomorrow does not trade places with one decided before.
    """
    key = duck.name(staged.table.key[0])
    dates = sorted({staged.table.own_dated[name] for name in staged.table.own_dated})
    order = [f"{duck.name(name)} NULLS LAST" for name in dates if name in staged.columns]
    rest = [f"{duck.name(name)} NULLS LAST" for name in staged.columns if name not in dates]
    connection.execute(
        f"UPDATE {staged.name} SET {key} = {staged.name}.{key} || '-' || place FROM ("
        f" SELECT rowid AS twin, row_number() OVER (PARTITION BY {key}"
        f" ORDER BY {', '.join([*order, *rest])}, rowid) AS place FROM {staged.name}"
        f" WHERE __state = {GOOD} AND __derived AND {key} IN (SELECT {key} FROM {staged.name}"
        f" WHERE __state = {GOOD} AND __derived GROUP BY {key} HAVING count(*) > 1)"
        f") twins WHERE {staged.name}.rowid = twin AND place > 1"
    )
