"""Invoice lines as something that was sold: without those that put another line right.

A firm that corrects a line takes it back and bills it again. Where its lines say so in the extra
columns ``corrects_line_id`` and ``corrects_entry_id``, prices and quantities are learned from the
original lines alone, so that nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from warehouse.snapshot import Snapshot

CORRECTS = ("corrects_line_id", "corrects_entry_id")


def sold_lines(data: Snapshot, day: date, columns: Sequence[str]) -> pd.DataFrame:
    """Sales known by ``day`` (quantity above 0), with those of the columns that are there."""
    held = data.columns("invoice_lines")
    wanted = [name for name in columns if name in held]
    extra = [name for name in CORRECTS if name in held and name not in wanted]
    lines: pd.DataFrame = data.as_of("invoice_lines", day, [*wanted, *extra]).to_pandas()
    kept = lines["quantity"] > 0
    for name in CORRECTS:
        if name in lines:
            kept &= lines[name].isna()
    return lines.loc[kept, wanted].reset_index(drop=True)
