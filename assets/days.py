"""The days of a run's partitions."""

from __future__ import annotations

from datetime import date

import dagster as dg


def partition_days(context: dg.AssetExecutionContext) -> list[date]:
    """Each partition of this run as a date, oldest first."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)
