"""The days of a run's partitions, and what is told of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg


def partition_days(context: dg.AssetExecutionContext) -> list[date]:
    """Each partition of this run as a date, oldest first."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)


def describe_day(context: dg.AssetExecutionContext, day: date, metadata: Mapping[str, Any]) -> None:
    """Metadata of one partition; a backfill in a single run holds many."""
    context.add_asset_metadata(metadata, partition_key=day.isoformat())
