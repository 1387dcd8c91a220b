"""What is checked of the values in a question before a model sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ml.serving.base import QueryError

FIRST, LAST = 1900, 2200
"""Years; days outside them do not fit the clocks of all libraries."""


def pointer(*parts: str | int) -> str:
    """The JSON pointer (RFC 6901) of a place in the question."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def require_number(name: str, value: Any, *place: str | int) -> None:
    """Refuse what is neither a number, true or false, nor empty."""
    if value is not None and not isinstance(value, int | float):
        raise QueryError(f"{name} is a number, got {value!r}", pointer(*place))


def require_text(name: str, value: Any, *place: str | int) -> None:
    """Refuse what is neither a text nor empty."""
    if value is not None and not isinstance(value, str):
        raise QueryError(f"{name} is a text, got {value!r}", pointer(*place))


def moment(name: str, text: str, *place: str | int) -> datetime:
    """A date or local time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(
            f"{name} is an ISO 8601 date or local time, got {text!r}", pointer(*place)
        ) from error
    if found.tzinfo is not None:
        raise QueryError(f"{name} is local time, without a zone; got {text!r}", pointer(*place))
    if not FIRST <= found.year <= LAST:
        raise QueryError(f"{name} lies between {FIRST} and {LAST}, got {text!r}", pointer(*place))
    return found
