"""From database rows to frozen dataclasses, whose fields are named as the columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

Record = TypeVar("Record")
MOST_PARAMETERS = 10_000
"""Of one statement; SQLite takes 32,766, PostgreSQL 65,535."""


def record(kind: type[Record], row: Mapping[Any, Any]) -> Record:
    """The dataclass of that row; columns it has no field for are left out."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: row[name] for name in names})


def values(item: Any) -> dict[str, Any]:
    """The dataclass's fields by name, nested values as they are."""
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
