"""Small steps between DataFrames and plain values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts by column name."""
    rows: list[Any] = frame.to_dict("records")
    return rows


def plain_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts of Python's own values by column name, missing ones None: ready for JSON."""
    columns = []
    for name in frame.columns:
        values = frame[name].to_numpy(dtype=object, copy=True)
        values[frame[name].isna().to_numpy()] = None
        plain = values.tolist()
        if frame[name].dtype == object:
            plain = [one.item() if isinstance(one, np.generic) else one for one in plain]
        columns.append(plain)
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def by_day(frame: pd.DataFrame) -> Iterator[tuple[date, pd.DataFrame]]:
    """The rows of each ``as_of``, oldest day first."""
    groups: Any = frame.groupby("as_of", sort=True)
    yield from groups
