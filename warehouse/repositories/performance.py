"""Performance: how past decisions turned out, beside the naive baseline on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, select

from warehouse.database import upsert, utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import performance


@dataclass(frozen=True)
class Performance:
    """One metric of the decisions of one day; ``in_sample`` ones count in no verdict."""

    model: str
    as_of: date
    model_version: str
    metric: str
    basis: Literal["live", "backtest"]
    value: float | None
    baseline_value: float | None
    rows: int
    in_sample: bool
    verdict: str
    measured_at: datetime = field(default_factory=utc_now)
    run_id: str | None = None


def record_all(connection: Connection, figures: Sequence[Performance]) -> None:
    """Record figures; measuring the same day, version, metric and basis again replaces."""
    upsert(
        connection,
        performance,
        [values(figure) for figure in figures],
        key=("model", "as_of", "model_version", "metric", "basis"),
    )


def over_time(
    connection: Connection, model: str, metric: str | None = None, limit: int = 100
) -> list[Performance]:
    """Figures of a model, newest day first."""
    table = performance
    query = select(table).where(table.c.model == model)
    if metric is not None:
        query = query.where(table.c.metric == metric)
    query = query.order_by(table.c.as_of.desc(), table.c.metric, table.c.id.desc()).limit(limit)
    return [record(Performance, row) for row in connection.execute(query).mappings()]
