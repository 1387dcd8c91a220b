"""Reading decisions: filtered and sorted by their columns, page by page, and over time."""

from __future__ import annotations

import base64
import binascii
import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    cast,
    false,
    literal,
    or_,
    select,
)

from warehouse.repositories.scores import ScoreDay, day, newest_day
from warehouse.scored import ScoredSpec, key_order, scored_table
from warehouse.tables import score_days
from warehouse.types import UtcDateTime

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "in"]


@dataclass(frozen=True)
class Filter:
    """One condition on a column; ``in`` takes a list."""

    column: str
    operator: Operator
    value: Any


@dataclass(frozen=True)
class Sort:
    """One column to sort by; missing values come last either way."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Page:
    """Decisions of one day in the order asked for; ``next_cursor`` where there are more."""

    day: ScoreDay
    rows: list[dict[str, Any]]
    next_cursor: str | None


class CursorExpiredError(LookupError):
    """The day that a cursor walks through was replaced meanwhile; start again without one."""


class CursorInvalidError(ValueError):
    """Not a cursor of this model, filter and order."""


class ColumnError(ValueError):
    """A column that cannot be filtered or sorted by; the message lists those that can."""


class _Cursor(msgspec.Struct):
    """Where a page ended: the day, the run, what was asked for, and the last row's sort values."""

    as_of: date
    run_id: str
    asked: str
    last: list[str | int | float | bool | None]


def read_page(
    connection: Connection,
    spec: ScoredSpec,
    as_of: date | None = None,
    filters: Sequence[Filter] = (),
    sort: Sequence[Sort] = (),
    limit: int = 100,
    cursor: str | None = None,
    raw_json: bool = False,
) -> Page | None:
    """One page of a day's decisions (of the newest day by default), None if it was not scored.

    With ``raw_json`` values of JSON columns are ``msgspec.Raw``, for those who write them on.
    Raises ColumnError, CursorInvalidError, or CursorExpiredError.
    """
    table = scored_table(spec)
    order = _whole_order(table, spec, sort)
    asked = _digest(spec, filters, order)
    start = _decode(cursor, asked) if cursor else None
    scored = (
        newest_day(connection, spec.name)
        if as_of is None and start is None
        else day(connection, spec.name, as_of or start.as_of)  # type: ignore[union-attr]
    )
    if start is not None and (
        scored is None or start.as_of != scored.as_of or start.run_id != scored.run_id
    ):
        raise CursorExpiredError(
            f"the decisions of {start.as_of} were replaced since this cursor was made:"
            " read again from the first page"
        )
    if scored is None:
        return None
    raw = [column.name for column in table.c if raw_json and isinstance(column.type, JSON)]
    chosen = (cast(one, Text).label(one.name) if one.name in raw else one for one in table.c)
    query = select(*chosen).where(
        table.c.as_of == scored.as_of, *(_condition(table, one) for one in filters)
    )
    if start is not None:
        query = query.where(_after(table, order, start.last))
    query = query.order_by(
        *(
            (table.c[one.column].desc() if one.descending else table.c[one.column]).nulls_last()
            for one in order
        )
    ).limit(limit + 1)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    more = len(rows) > limit
    rows = rows[:limit]
    for row in rows:
        for name in raw:
            if row[name] is not None:
                row[name] = msgspec.Raw(row[name].encode())
    return Page(scored, rows, _encode(scored, asked, order, rows[-1]) if more and rows else None)


def history(
    connection: Connection,
    spec: ScoredSpec,
    filters: Sequence[Filter],
    first: date | None = None,
    last: date | None = None,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """Decisions of one entity over the days, newest first."""
    table = scored_table(spec)
    # Joined, so that an entity is looked up by the key (as_of, id, …) on each scored day.
    query = (
        select(table)
        .join(score_days, score_days.c.as_of == table.c.as_of)
        .where(score_days.c.model == spec.name, *(_condition(table, one) for one in filters))
    )
    if first is not None:
        query = query.where(table.c.as_of >= first)
    if last is not None:
        query = query.where(table.c.as_of <= last)
    key = [table.c[name] for name in key_order(spec.entity)]
    query = query.order_by(table.c.as_of.desc(), *key).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def usable_columns(table: Table) -> list[str]:
    """The columns that can be filtered and sorted by: all but the JSON ones."""
    return [column.name for column in table.c if not isinstance(column.type, JSON)]


def _column(table: Table, name: str) -> Column[Any]:
    usable = usable_columns(table)
    if name not in usable:
        raise ColumnError(
            f"{table.name} cannot be filtered or sorted by {name!r}; it can by {', '.join(usable)}"
        )
    return table.c[name]


def _condition(table: Table, one: Filter) -> ColumnElement[bool]:
    column = _column(table, one.column)
    if one.operator == "in":
        return column.in_(list(one.value)) if one.value else false()
    if one.value is None:
        return column.is_not(None) if one.operator == "ne" else column.is_(None)
    if one.operator == "eq" and isinstance(one.value, str) and "\0" in one.value:
        return false()  # no text holds it, and PostgreSQL refuses to be asked
    compare: Callable[[Any, Any], ColumnElement[bool]] = getattr(operator, one.operator)
    return compare(column, _bound(column, one.value))


def _bound(column: Column[Any], value: Any) -> ColumnElement[Any]:
    """A parameter of the column's type; SQLAlchemy would refuse to order by plain booleans."""
    return literal(value, column.type)


def _whole_order(table: Table, spec: ScoredSpec, sort: Sequence[Sort]) -> list[Sort]:
    """The order asked for, made total by the key."""
    order = [Sort(_column(table, one.column).name, one.descending) for one in sort]
    named = {one.column for one in order}
    if len(named) < len(order):
        raise ColumnError("a column that is sorted by is named once")
    return order + [Sort(key) for key in key_order(spec.entity) if key not in named]


def _after(table: Table, order: Sequence[Sort], last: Sequence[Any]) -> ColumnElement[bool]:
    """Rows behind the last one: equal in the first columns and behind in the next."""
    ways: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    if len(last) != len(order):
        raise _no_cursor()
    for one, stored in zip(order, last, strict=True):
        column = table.c[one.column]
        value = _from_json(column, stored)
        if value is None:
            # Missing values come last, so nothing but another missing one is behind.
            equal.append(column.is_(None))
            continue
        bound = _bound(column, value)
        behind = column < bound if one.descending else column > bound
        ways.append(and_(*equal, or_(behind, column.is_(None)) if column.nullable else behind))
        equal.append(column == bound)
    return or_(*ways) if ways else false()


def _digest(spec: ScoredSpec, filters: Sequence[Filter], order: Sequence[Sort]) -> str:
    said = [
        spec.name,
        [[one.column, one.operator, str(one.value)] for one in filters],
        [[one.column, one.descending] for one in order],
    ]
    return sha256(json.dumps(said).encode()).hexdigest()[:12]


def _encode(scored: ScoreDay, asked: str, order: Sequence[Sort], row: dict[str, Any]) -> str:
    cursor = {
        "as_of": scored.as_of.isoformat(),
        "run_id": scored.run_id,
        "asked": asked,
        "last": [_to_json(row[one.column]) for one in order],
    }
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")


def _decode(cursor: str, asked: str) -> _Cursor:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        start = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Cursor)
        if start.asked == asked:
            return start
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise _no_cursor()


def _no_cursor() -> CursorInvalidError:
    return CursorInvalidError(
        "this cursor belongs to another model, filter or order: pass a next_cursor back with the"
        " same ones, or read again from the first page"
    )


def _to_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _from_json(column: Column[Any], value: Any) -> Any:
    """A cursor's value; callers may have written it, so it need not be one of the column's."""
    python = column.type.python_type
    if value is None:
        return None
    try:
        if python in (date, datetime):
            value = python.fromisoformat(value)
            if python is datetime:
                value = _instant(column, value)
        elif python is float and type(value) is int:
            value = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _no_cursor() from None
    held = type(value) is python
    if python is int:
        held = held and -(2**63) <= value < 2**63
    if not held or (python is str and "\0" in value):
        raise _no_cursor()
    return value


def _instant(column: Column[Any], value: datetime) -> datetime:
    if isinstance(column.type, UtcDateTime):
        return value.astimezone(UTC)
    if value.tzinfo is not None:
        raise ValueError("local times have no zone")
    return value
