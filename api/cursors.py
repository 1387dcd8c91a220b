"""Cursors of lists that only grow at their newer end: where the last page ended."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec

from api.problems import Problem, refused


class Made(Protocol):
    """Something that lists show newest first."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


M = TypeVar("M", bound=Made)


def encode(*values: str | int) -> str:
    """The cursor that goes on behind these values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> list[str | int]:
    """The values of a cursor; Problem 422 where it is none of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=list[str | int])
    except (binascii.Error, UnicodeError, ValueError):
        raise foreign() from None
    if [type(value) for value in values] != list(kinds) or not all(map(_storable, values)):
        raise foreign()
    return values


def _storable(value: str | int) -> bool:
    """Callers may have written a cursor, and databases refuse to be asked for some values."""
    return "\0" not in value if isinstance(value, str) else 0 <= value < 2**63


def instant(text: str | int) -> datetime:
    """The instant that a cursor holds as text; Problem 422 where it is none."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise foreign() from None


def after(cursor: str | None) -> tuple[datetime, str] | None:
    """Behind which ``(created_at, id)`` a page goes on; None at the first one."""
    if cursor is None:
        return None
    created_at, last = decode(cursor, str, str)
    return instant(created_at), str(last)


def cut(found: Sequence[M], limit: int) -> tuple[Sequence[M], str | None]:
    """A page of what was asked for with one more than ``limit``, and the cursor to what follows."""
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], encode(last.created_at.isoformat(), last.id)


def foreign() -> Problem:
    """422: not a cursor of this list."""
    said = "this is no cursor of this list: pass a next_cursor back, or leave it out"
    return refused("cursor", said)
