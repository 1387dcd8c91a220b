"""Column types that both databases store alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Dialect,
    Float,
    Integer,
    String,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

Kind = Literal["instant", "json", "bool", "bigint", "int", "float", "local", "date", "text"]


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware datetimes in, UTC datetimes out; SQLite holds them as UTC text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a time zone, got {value.isoformat()} without one")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def text_type() -> String:
    """Text compared byte by byte, so that both databases sort and page it alike."""
    return String().with_variant(String(collation="C"), "postgresql")


def json_type() -> JSON:
    """JSON kept as the text it was written as; JSONB would turn -0.0 into 0."""
    return JSON(none_as_null=True)


def kind_of(column_type: TypeEngine[Any]) -> Kind:
    """What a column of that type holds, whichever database it is in."""
    for sql, kind in _KINDS:
        if isinstance(column_type, sql):
            return kind
    return "text"


_KINDS: tuple[tuple[Any, Kind], ...] = (
    (UtcDateTime, "instant"),
    (JSON, "json"),
    (Boolean, "bool"),
    (BigInteger, "bigint"),
    (Integer, "int"),
    (Float, "float"),
    (DateTime, "local"),
    (Date, "date"),
)
"""The narrower first: a BigInteger is an Integer too."""
