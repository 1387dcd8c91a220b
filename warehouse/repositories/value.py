"""What models were worth in money, on later data, or why that cannot be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from warehouse.database import upsert, utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import model_value


@dataclass(frozen=True)
class ModelValue:
    """An amount with its interval and assumptions; without an amount, the reason.

    ``as_of`` is the day through which outcomes were known, the period that of the decisions.
    """

    model: str
    as_of: date
    model_version: str
    basis: str
    currency: str
    assumptions: Mapping[str, Any]
    period_from: date | None = None
    period_to: date | None = None
    amount: float | None = None
    low: float | None = None
    high: float | None = None
    baseline_amount: float | None = None
    reason: str | None = None
    measured_at: datetime = field(default_factory=utc_now)
    run_id: str | None = None


def write(connection: Connection, measured: ModelValue) -> None:
    """Write a measurement; measuring the same day, version and basis again replaces it.

    An amount, or a reason for none, is required.
    """
    upsert(
        connection,
        model_value,
        [values(measured)],
        key=("model", "as_of", "model_version", "basis"),
    )


def newest(connection: Connection, model: str | None = None) -> dict[str, ModelValue]:
    """Each model's measurement of its newest day, the one measured last."""
    table = model_value
    rank = func.row_number().over(
        partition_by=table.c.model,
        order_by=(table.c.as_of.desc(), table.c.measured_at.desc(), table.c.id.desc()),
    )
    ranked = select(table, rank.label("rank")).subquery()
    query = select(*(ranked.c[name] for name in table.c.keys()))  # noqa: SIM118
    query = query.where(ranked.c.rank == 1).order_by(ranked.c.model)
    if model is not None:
        query = query.where(ranked.c.model == model)
    found = (record(ModelValue, row) for row in connection.execute(query).mappings())
    return {one.model: one for one in found}


def over_time(connection: Connection, model: str, limit: int = 100) -> list[ModelValue]:
    """Measurements of a model, newest day first."""
    query = select(model_value).where(model_value.c.model == model)
    query = query.order_by(model_value.c.as_of.desc(), model_value.c.id.desc()).limit(limit)
    return [record(ModelValue, row) for row in connection.execute(query).mappings()]
