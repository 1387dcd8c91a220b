"""Lines, rates and work as known by a day; and a copy of lines with known errors planted."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

UNDERBILLED, ZERO, DOUBLE = 0.005, 0.002, 0.001
"""Shares of lines that the planted errors hit."""


def leak_frames(data: Snapshot, day: date, since: date | None = None) -> dict[str, pd.DataFrame]:
    """``lines`` and, where there are any, ``rates`` and ``work``; dated ``since`` or later."""
    found = {"lines": _dated(data, "invoice_lines", "issued_on", day, since)}
    if "rates" in data.tables:
        found["rates"] = data.as_of("rates", day).to_pandas()
    if "work_entries" in data.tables:
        found["work"] = _dated(data, "work_entries", "worked_on", day, since)
    return found


def with_injected_errors(
    lines: pd.DataFrame, since: date, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A copy of the lines with planted errors, and what was planted (item_id, amount).

    Among sales since the day, .5 % are billed at half to nine tenths of their price, .2 % at
    nothing, and of credits a tenth of a percent of the sales are entered twice.
    """
    copy = lines.copy()
    rng = np.random.default_rng(seed)
    recent = pd.to_datetime(copy["issued_on"]) >= pd.Timestamp(since)
    sales = np.flatnonzero(recent & (copy["quantity"] > 0) & (copy["unit_price"] > 0))
    rng.shuffle(sales)
    low, zero = (max(1, round(share * len(sales))) for share in (UNDERBILLED, ZERO))
    cheap, free = sales[:low], sales[low : low + zero]
    factor = np.ones(len(copy))
    factor[cheap] = rng.uniform(0.5, 0.9, len(cheap))
    factor[free] = 0.0
    before = copy["unit_price"].to_numpy(dtype=float)
    quantity = copy["quantity"].to_numpy(dtype=float)
    copy["unit_price"] = before * factor
    wrong = np.concatenate([cheap, free])
    planted = [
        pd.DataFrame(
            {
                "item_id": copy["line_id"].to_numpy()[wrong],
                "amount": (before * (1 - factor) * quantity)[wrong],
            }
        )
    ]
    credits = np.flatnonzero(recent & (copy["quantity"] < 0))
    rng.shuffle(credits)
    twice = copy.iloc[credits[: round(DOUBLE * len(sales))]].copy()
    twice["line_id"] = twice["line_id"].astype(str) + ":again"
    value = (twice["quantity"] * twice["unit_price"]).abs()
    planted.append(pd.DataFrame({"item_id": twice["line_id"], "amount": value}))
    return (
        pd.concat([copy, twice], ignore_index=True),
        pd.concat(planted, ignore_index=True),
    )


def _dated(data: Snapshot, table: str, column: str, day: date, since: date | None) -> pd.DataFrame:
    frame = data.as_of(table, day).to_pandas()
    if since is None:
        return frame
    return frame[pd.to_datetime(frame[column]) >= pd.Timestamp(since)].reset_index(drop=True)
