"""Columns of times, whatever a caller or a source wrote them as."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def times_of(column: pd.Series) -> pd.Series:
    """The column as datetime64; one that is so already as it stands.

    pandas would look through ten thousand values of it first, each made a Timestamp.
    """
    import pandas as pd

    return column if column.dtype.kind == "M" else pd.to_datetime(column)
