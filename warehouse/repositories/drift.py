"""Drift verdicts: for each day and feature, how far it moved and whether that is too far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, delete, insert, select

from warehouse.database import utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import drift_verdicts

OVERALL = ""
"""The ``feature`` of the verdict on the whole batch."""


@dataclass(frozen=True)
class DriftVerdict:
    """One statistic of one feature on one day, judged against its calibrated threshold."""

    model: str
    as_of: date
    model_version: str
    feature: str
    statistic: str
    value: float | None
    threshold: float | None
    rows: int
    verdict: Literal["ok", "drift", "insufficient_data"]
    decided_at: datetime = field(default_factory=utc_now)
    run_id: str | None = None


def replace(
    connection: Connection,
    model: str,
    as_of: date,
    model_version: str,
    verdicts: Sequence[DriftVerdict],
) -> None:
    """Record a day's verdicts for a version; a rerun replaces all of them."""
    table = drift_verdicts
    connection.execute(
        delete(table).where(
            table.c.model == model,
            table.c.as_of == as_of,
            table.c.model_version == model_version,
        )
    )
    if verdicts:
        connection.execute(insert(table), [values(verdict) for verdict in verdicts])


def overall(connection: Connection, model: str, limit: int = 30) -> list[DriftVerdict]:
    """The verdicts on whole batches, newest day first."""
    table = drift_verdicts
    query = select(table).where(table.c.model == model, table.c.feature == OVERALL)
    query = query.order_by(table.c.as_of.desc(), table.c.id.desc()).limit(limit)
    return [record(DriftVerdict, row) for row in connection.execute(query).mappings()]


def on_day(connection: Connection, model: str, as_of: date) -> list[DriftVerdict]:
    """All verdicts of a day, by feature and statistic."""
    table = drift_verdicts
    query = select(table).where(table.c.model == model, table.c.as_of == as_of)
    query = query.order_by(table.c.feature, table.c.statistic, table.c.id)
    return [record(DriftVerdict, row) for row in connection.execute(query).mappings()]


def newest(connection: Connection, model: str) -> list[DriftVerdict]:
    """All verdicts of the newest day that has some."""
    last = overall(connection, model, 1)
    return on_day(connection, model, last[0].as_of) if last else []
