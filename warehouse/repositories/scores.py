"""Scored days, each written as a whole, with the features that on-demand calls read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import JSON, Connection, delete, select

from warehouse.bulk import replace_partition
from warehouse.columns import arrow_column
from warehouse.database import upsert
from warehouse.jsontext import json_texts
from warehouse.repositories import online as online_repository
from warehouse.repositories.online import OnlineBatch
from warehouse.repositories.rows import record, values
from warehouse.scored import ScoredSpec, field_rules, scored_table
from warehouse.tables import score_days

if TYPE_CHECKING:
    import pandas as pd

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
    table = scored_table(spec)
    data = _checked(spec, frame)
    rows = replace_partition(connection, table, {"as_of": as_of}, data, values(stamp))
    day = ScoreDay(model=spec.name, as_of=as_of, rows=rows, **values(stamp))
    upsert(connection, score_days, [values(day)], key=("model", "as_of"))
    if online is not None:
        online_repository.replace_if_newest(
            connection, spec.name, as_of, stamp.data_version, online
        )
    return rows


def _checked(spec: ScoredSpec, frame: pd.DataFrame | pa.Table) -> pa.Table:
    """The frame in the table's types, each value such as the Decision allows."""
    table = scored_table(spec)
    names = list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)
    if unknown := [name for name in names if name not in spec.Decision.model_fields]:
        raise ValueError(
            f"{table.name}: {spec.Decision.__name__} has no field {', '.join(map(repr, unknown))};"
            f" it has {', '.join(spec.Decision.model_fields)}"
        )
    columns: dict[str, pa.ChunkedArray] = {}
    for name, rule in field_rules(spec.Decision).items():
        if name not in names:
            if spec.Decision.model_fields[name].is_required():
                raise ValueError(f"{table.name}: the column {name!r} is missing from the scores")
            continue
        given = frame[name]
        if isinstance(rule.type, JSON):
            given = _json_column(given)
        column = arrow_column(table.c[name], given)
        if column.null_count and not rule.optional:
            raise ValueError(
                f"{table.name}.{name} may not be missing, and is in {column.null_count} of"
                f" {len(column)} rows: compute it, or declare the field as `… | None`"
            )
        if rule.choices and not pc.all(pc.is_in(column, pa.array(rule.choices))).as_py():
            other = sorted(set(pc.unique(column).to_pylist()) - {None, *rule.choices})
            if other:
                raise ValueError(
                    f"{table.name}.{name} is one of {', '.join(rule.choices)}, got {other[:5]}"
                )
        columns[name] = column
    data = pa.table(columns)
    _refuse_repeats(table.name, data, spec.entity)
    return data


def _json_column(given: Any) -> pa.Array:
    if isinstance(given, pa.ChunkedArray) and pa.types.is_string(given.type):
        return given
    plain = given.to_pylist() if isinstance(given, pa.ChunkedArray) else given.tolist()
    return pa.array(json_texts(plain), pa.string())


def _refuse_repeats(where: str, data: pa.Table, key: Sequence[str]) -> None:
    counts = data.select(list(key)).group_by(list(key)).aggregate([([], "count_all")])
    if counts.num_rows == data.num_rows:
        return
    example = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
    times = example.pop("count_all")
    raise ValueError(f"{where}: two decisions may not share a key; {example} comes {times} times")


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
    table = scored_table(spec)
    query = select(table).where(table.c.as_of >= first, table.c.as_of <= last)
    if origin is not None:
        query = query.where(table.c.origin == origin)
    rows = connection.execute(query.order_by(*table.primary_key)).all()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(table.c)
    return pa.table(
        {
            column.name: arrow_column(
                column,
                json_texts(column_values) if isinstance(column.type, JSON) else list(column_values),
            )
            for column, column_values in zip(table.c, columns, strict=True)
        }
    )


def purge_before(connection: Connection, spec: ScoredSpec, day: date) -> int:
    """Delete the decisions of days before that one; returns how many rows went."""
    table = scored_table(spec)
    connection.execute(
        delete(score_days).where(score_days.c.model == spec.name, score_days.c.as_of < day)
    )
    return connection.execute(delete(table).where(table.c.as_of < day)).rowcount
