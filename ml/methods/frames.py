"""Small steps between DataFrames and plain values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts by column name."""
    rows: list[Any] = frame.to_dict("records")
    return rows


def by_day(frame: pd.DataFrame) -> Iterator[tuple[date, pd.DataFrame]]:
    """The rows of each ``as_of``, oldest day first."""
    groups: Any = frame.groupby("as_of", sort=True)
    yield from groups
