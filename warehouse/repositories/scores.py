"""Scored days, each written as a whole, with the features that on-demand calls read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, delete, select

from warehouse.database import upsert
from warehouse.repositories import online as online_repository
from warehouse.repositories.online import OnlineBatch
from warehouse.repositories.rows import record, values
from warehouse.scored import ScoredSpec, scored_table
from warehouse.tables import score_days

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Origin = Literal["live", "backfill"]


@dataclass(frozen=True)
class Stamp:
    """Where the rows of one scored day come from."""

    model_version: str
    data_version: str
    run_id: str
    origin: str
    scored_at: datetime


@dataclass(frozen=True)
class ScoreDay:
    """One day that a model scored, also where it found nothing."""

    model: str
    as_of: date
    model_version: str
    data_version: str
    run_id: str
    origin: str
    rows: int
    scored_at: datetime


def write_day(
    connection: Connection,
    spec: ScoredSpec,
    as_of: date,
    frame: pd.DataFrame | pa.Table,
    stamp: Stamp,
    online: OnlineBatch | None = None,
) -> int:
    """Replace a day's decisions, and the online features if the day is the newest.

    ``frame`` holds the key and the Decision's fields; JSON fields as Python values or as text.
    Returns the number of decisions. Raises ValueError naming the column where a required value is
    missing, a value does not fit its column, or two rows have the same key; then nothing changed.
    """
    # Here and below: pyarrow would be a fifth of a server's memory that only reads pages.
    from warehouse.bulk import replace_partition
    from warehouse.repositories import score_rows

    table = scored_table(spec)
    data = score_rows.checked(spec, frame)
    rows = replace_partition(connection, table, {"as_of": as_of}, data, values(stamp))
    day = ScoreDay(model=spec.name, as_of=as_of, rows=rows, **values(stamp))
    upsert(connection, score_days, [values(day)], key=("model", "as_of"))
    if online is not None:
        online_repository.replace_if_newest(
            connection, spec.name, as_of, stamp.data_version, online
        )
    return rows


def newest_day(connection: Connection, model: str) -> ScoreDay | None:
    """The newest day that the model scored."""
    found = days(connection, model, 1)
    return found[0] if found else None


def day(connection: Connection, model: str, as_of: date) -> ScoreDay | None:
    """That day, None where the model did not score it."""
    query = select(score_days).where(score_days.c.model == model, score_days.c.as_of == as_of)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else record(ScoreDay, row)


def days(connection: Connection, model: str, limit: int | None = None) -> list[ScoreDay]:
    """The days that the model scored, newest first."""
    query = select(score_days).where(score_days.c.model == model)
    query = query.order_by(score_days.c.as_of.desc()).limit(limit)
    return [record(ScoreDay, row) for row in connection.execute(query).mappings()]


def between(
    connection: Connection, spec: ScoredSpec, first: date, last: date, origin: str | None = None
) -> pa.Table:
    """All decisions of those days with every column of the table, JSON as text; for judging."""
    from warehouse.repositories import score_rows

    table = scored_table(spec)
    query = select(table).where(table.c.as_of >= first, table.c.as_of <= last)
    if origin is not None:
        query = query.where(table.c.origin == origin)
    rows = connection.execute(query.order_by(*table.primary_key)).all()
    return score_rows.as_table(table, rows)


def purge_before(connection: Connection, spec: ScoredSpec, day: date) -> int:
    """Delete the decisions of days before that one; returns how many rows went."""
    table = scored_table(spec)
    connection.execute(
        delete(score_days).where(score_days.c.model == spec.name, score_days.c.as_of < day)
    )
    return connection.execute(delete(table).where(table.c.as_of < day)).rowcount
