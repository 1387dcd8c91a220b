"""Snapshots of the source: which versions of lake tables belong together, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, func, insert, select, update

from warehouse.database import utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import data_versions, firm


class OtherSourceError(RuntimeError):
    """The home belongs to another source; the message names both and the way out."""

    def __init__(self, there: str, given: str) -> None:
        super().__init__(
            f"this home holds the data of the source {there!r}, not of {given!r}, and the two must"
            " not mix: use another home (--home PATH or SEVENFOLD_HOME), or empty this one with"
            " `sevenfold reset`"
        )


@dataclass(frozen=True)
class DataVersion:
    """One ingestion: the lake's table versions, rows and quarantined rows by table."""

    snapshot: str
    created_at: datetime
    source: str
    table_versions: Mapping[str, int]
    row_counts: Mapping[str, int]
    quarantined: Mapping[str, int]
    first_event: date | None = None
    newest_event: date | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Firm:
    """What the first ingestion fixed for this home."""

    source: str
    start_date: date | None
    created_at: datetime


def add(connection: Connection, version: DataVersion) -> None:
    """Record a snapshot as the newest; only now do its table versions exist for readers."""
    newest_ordinal = select(func.coalesce(func.max(data_versions.c.ordinal), 0) + 1)
    connection.execute(
        insert(data_versions).values(**values(version), ordinal=newest_ordinal.scalar_subquery())
    )


def newest(connection: Connection) -> DataVersion | None:
    """The newest snapshot, None before the first ingestion."""
    found = recent(connection, 1)
    return found[0] if found else None


def recent(connection: Connection, limit: int = 50) -> list[DataVersion]:
    """Snapshots, newest first."""
    query = select(data_versions).order_by(data_versions.c.ordinal.desc()).limit(limit)
    return [record(DataVersion, row) for row in connection.execute(query).mappings()]


def get(connection: Connection, snapshot: str) -> DataVersion | None:
    """The snapshot of that id."""
    query = select(data_versions).where(data_versions.c.snapshot == snapshot)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else record(DataVersion, row)


def get_firm(connection: Connection) -> Firm | None:
    """Whose home this is, None before the first ingestion."""
    row = connection.execute(select(firm)).mappings().one_or_none()
    return None if row is None else record(Firm, row)


def claim(
    connection: Connection, source: str, start_date: date | None, at: datetime | None = None
) -> Firm:
    """Bind the home to its source at the first ingestion; later a check that it is the same.

    A start date is stored once and kept. Raises OtherSourceError where the home belongs to
    another source.
    """
    there = get_firm(connection)
    if there is None:
        owner = Firm(source, start_date, at or utc_now())
        connection.execute(insert(firm).values(id=1, **values(owner)))
        return owner
    if there.source != source:
        raise OtherSourceError(there.source, source)
    if there.start_date is None and start_date is not None:
        connection.execute(update(firm).values(start_date=start_date))
        return Firm(source, start_date, there.created_at)
    return there
