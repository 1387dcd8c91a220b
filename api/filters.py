"""Filters of stored reads, ``?column=value`` and ``?column.gt=value``, by the column's type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from math import isfinite
from typing import Any

from sqlalchemy import Boolean, Date, DateTime, Float, Integer, String
from starlette.requests import Request

from api.problems import refused
from ml.models import ModelSpec
from warehouse.repositories.score_pages import Filter, usable_columns
from warehouse.scored import scored_table
from warehouse.types import UtcDateTime

PAGING = {"limit", "cursor", "sort"}
OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge")
MOST_FILTERS = 50


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("not finite")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError("no database holds it")
    return value


def _instant(text: str) -> dt.datetime:
    value = dt.datetime.fromisoformat(text)
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _local(text: str) -> dt.datetime:
    value = dt.datetime.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError("local times have no zone")
    return value


def _truth(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("no id holds it")
    return text


KINDS: list[tuple[Any, Callable[[str], Any]]] = [
    (Float, _finite),
    (Boolean, _truth),
    (Integer, _whole),
    (UtcDateTime, _instant),
    (DateTime, _local),
    (Date, dt.date.fromisoformat),
    (String, _text),
]
"""How the text of a filter is read, by the type of its column."""


def filters_of(request: Request, spec: ModelSpec) -> list[Filter]:
    """``?column=value`` and ``?column.gt=value`` (lt, le, gt, ge, ne, eq)."""
    table = scored_table(spec)
    usable = usable_columns(table)
    found: list[Filter] = []
    for name, text in request.query_params.multi_items():
        if name in PAGING:
            continue
        if len(found) == MOST_FILTERS:
            raise refused(name, f"a read takes up to {MOST_FILTERS} filters")
        column, _, operator = name.partition(".")
        if column not in usable or operator not in ("", *OPERATORS):
            raise refused(
                name,
                f"cannot filter by {name!r}: use ?column=value or ?column.gt=value"
                f" ({', '.join(OPERATORS)}) with one of {', '.join(usable)}",
            )
        value = _typed(table.c[column], name, text)
        found.append(Filter(column, operator or "eq", value))  # type: ignore[arg-type]
    return found


def _typed(column: Any, name: str, text: str) -> Any:
    parse = next(parse for kind, parse in KINDS if isinstance(column.type, kind))
    try:
        return parse(text)
    except (ValueError, KeyError, OverflowError):
        what = column.type.python_type.__name__
        raise refused(name, f"{text!r} is no value of {column.name} ({what})") from None
