"""What models were worth in money, on later data, or why that cannot be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from warehouse.database import utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import model_value


@dataclass(frozen=True)
class ModelValue:
    """An amount with its interval and assumptions; without an amount, the reason."""

    model: str
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


def add(connection: Connection, measured: ModelValue) -> None:
    """Append a measurement. An amount, or a reason for none, is required."""
    connection.execute(insert(model_value).values(**values(measured)))


def newest(connection: Connection, model: str | None = None) -> dict[str, ModelValue]:
    """The newest measurement of each model."""
    last = select(func.max(model_value.c.id)).group_by(model_value.c.model)
    query = select(model_value).where(model_value.c.id.in_(last)).order_by(model_value.c.model)
    if model is not None:
        query = query.where(model_value.c.model == model)
    found = (record(ModelValue, row) for row in connection.execute(query).mappings())
    return {one.model: one for one in found}


def over_time(connection: Connection, model: str, limit: int = 100) -> list[ModelValue]:
    """Measurements of a model, newest first."""
    query = select(model_value).where(model_value.c.model == model)
    query = query.order_by(model_value.c.id.desc()).limit(limit)
    return [record(ModelValue, row) for row in connection.execute(query).mappings()]
