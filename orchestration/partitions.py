"""Daily partitions: from the firm's first month to yesterday, in the firm's time zone."""

from __future__ import annotations

from datetime import date

import dagster as dg

FALLBACK_START = date(2023, 11, 1)
"""Until the first ingestion has stored the firm's own start."""


def daily_partitions(start: date | None, timezone: str) -> dg.DailyPartitionsDefinition:
    """One partition a whole day; the newest is yesterday."""
    return dg.DailyPartitionsDefinition(
        start_date=(start or FALLBACK_START).isoformat(), timezone=timezone
    )
