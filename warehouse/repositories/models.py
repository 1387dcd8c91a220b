"""Trained model versions, and the log of promotions whose last word is the champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, func, insert, select

from warehouse.database import one_at_a_time, utc_now
from warehouse.events import EVENTS
from warehouse.repositories import webhooks
from warehouse.repositories.rows import record, values
from warehouse.tables import model_versions, promotions


@dataclass(frozen=True)
class ModelVersion:
    """One training: its data, figures beside the baseline's and the champion's, and its files.

    ``known_through`` is the last day that any label of the training used; ``gate`` holds
    ``passed``, ``reasons`` and ``failed``; ``artifact`` and ``card`` are paths below the models'
    root.
    """

    version: str
    model: str
    trained_at: datetime
    trained_as_of: date
    known_through: date
    data_version: str
    estimator: str
    metrics: Mapping[str, Any]
    baseline: Mapping[str, Any]
    gate: Mapping[str, Any]
    feature_schema_hash: str
    artifact: str
    manifest_sha256: str
    card: str
    status: Literal["candidate", "rejected"]
    champion_metrics: Mapping[str, Any] | None = None
    lock_hash: str | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Promotion:
    """One entry of the log; no version means that the model has no champion from then on."""

    model: str
    version: str | None
    action: Literal["promote", "rollback"]
    reason: str
    decided_by: str
    decided_at: datetime
    id: int = 0


class UnknownVersionError(LookupError):
    """The model has no such version; the message lists the newest ones."""


class NothingToRollBackError(LookupError):
    """The model has no champion that could be taken back."""


def register(connection: Connection, version: ModelVersion) -> None:
    """Record a training whose artifact files are already complete."""
    connection.execute(insert(model_versions).values(**values(version)))


def get(connection: Connection, version: str) -> ModelVersion | None:
    """The version of that id, of whatever model."""
    if "\0" in version:
        return None  # no text holds it, and PostgreSQL refuses to be asked
    return _one(connection, select(model_versions).where(model_versions.c.version == version))


def versions(connection: Connection, model: str, limit: int = 100) -> list[ModelVersion]:
    """The model's versions, newest training first."""
    query = _newest_first(model).limit(limit)
    return [record(ModelVersion, row) for row in connection.execute(query).mappings()]


def latest(connection: Connection, model: str) -> ModelVersion | None:
    """The newest training, promoted or not."""
    return _one(connection, _newest_first(model).limit(1))


def require(connection: Connection, model: str, version: str) -> ModelVersion:
    """The model's version of that id; UnknownVersionError where it has none."""
    known = get(connection, version)
    if known is None or known.model != model:
        there = ", ".join(one.version for one in versions(connection, model, 5)) or "none"
        raise UnknownVersionError(f"{model} has no version {version!r}; its newest: {there}")
    return known


def was_promoted(connection: Connection, version: str) -> bool:
    """Whether the version was ever promoted, whatever came after."""
    query = select(promotions.c.id).where(
        promotions.c.version == version, promotions.c.action == "promote"
    )
    return connection.execute(query.limit(1)).first() is not None


def waiting(connection: Connection, model: str) -> ModelVersion | None:
    """The model's newest version, where it passed its gate and nobody has promoted it yet."""
    newest = latest(connection, model)
    if newest is None or not newest.gate["passed"] or was_promoted(connection, newest.version):
        return None
    return newest


def promote(
    connection: Connection,
    model: str,
    version: str,
    reason: str,
    by: str,
    at: datetime | None = None,
) -> Promotion:
    """Append that this version is the champion from now on.

    Raises UnknownVersionError where the model has no such version.
    """
    decide_alone(connection, model)
    require(connection, model, version)
    return _append(connection, model, version, "promote", reason, by, at)


def rollback(
    connection: Connection, model: str, reason: str, by: str, at: datetime | None = None
) -> Promotion:
    """Append that the champion before the present one is it again, or none where there was none.

    Rolling back twice goes two promotions back, not to and fro. Raises NothingToRollBackError
    where the model has no champion.
    """
    decide_alone(connection, model)
    return _append(connection, model, before(connection, model), "rollback", reason, by, at)


def before(connection: Connection, model: str) -> str | None:
    """The champion before the present one, which a rollback brings back; None where there is none.

    Raises NothingToRollBackError where the model has no champion.
    """
    stack: list[str] = []
    for entry in reversed(log(connection, model, limit=None)):
        if entry.action == "promote":
            if entry.version is not None and entry.version != (stack[-1] if stack else None):
                stack.append(entry.version)
        elif stack:
            stack.pop()
    if not stack:
        raise NothingToRollBackError(f"{model} has no champion to roll back from")
    return stack[-2] if len(stack) > 1 else None


def decide_alone(connection: Connection, model: str) -> None:
    """Wait for whoever decides on the model's champion; to be called before what one looks at."""
    one_at_a_time(connection, f"champion of {model}")


def log(connection: Connection, model: str, limit: int | None = 100) -> list[Promotion]:
    """The model's promotions and rollbacks, newest first."""
    query = select(promotions).where(promotions.c.model == model)
    query = query.order_by(promotions.c.id.desc()).limit(limit)
    return [record(Promotion, row) for row in connection.execute(query).mappings()]


def champion(connection: Connection, model: str) -> ModelVersion | None:
    """The version that the log's last word names."""
    return _named_by(connection, model, before=None)


def champions(connection: Connection) -> dict[str, str | None]:
    """The version that the log's last word names for each model; None after a rollback to none."""
    last = select(func.max(promotions.c.id)).group_by(promotions.c.model)
    query = select(promotions.c.model, promotions.c.version).where(promotions.c.id.in_(last))
    return {row.model: row.version for row in connection.execute(query)}


def champion_on(
    connection: Connection, model: str, day: date, zone: ZoneInfo | None = None
) -> ModelVersion | None:
    """The version that the log named at the end of that day in the firm's time zone (UTC)."""
    midnight = datetime.combine(day + timedelta(days=1), time(), zone or ZoneInfo("UTC"))
    return _named_by(connection, model, before=midnight)


def _named_by(connection: Connection, model: str, before: datetime | None) -> ModelVersion | None:
    last = select(promotions.c.version).where(promotions.c.model == model)
    if before is not None:
        last = last.where(promotions.c.decided_at < before)
    last = last.order_by(promotions.c.id.desc()).limit(1)
    query = select(model_versions).where(model_versions.c.version == last.scalar_subquery())
    return _one(connection, query)


def _append(
    connection: Connection,
    model: str,
    version: str | None,
    action: Literal["promote", "rollback"],
    reason: str,
    by: str,
    at: datetime | None,
) -> Promotion:
    entry = Promotion(model, version, action, reason, by, at or utc_now())
    row = {name: value for name, value in values(entry).items() if name != "id"}
    number = connection.execute(
        insert(promotions).values(**row).returning(promotions.c.id)
    ).scalar_one()
    event = "model.promoted" if action == "promote" else "model.rolled_back"
    told = {name: row[name] for name in EVENTS[event].fields}
    webhooks.publish(connection, event, None, told, entry.decided_at)
    return Promotion(**row, id=number)


def _newest_first(model: str) -> Select[Any]:
    table = model_versions
    query = select(table).where(table.c.model == model)
    return query.order_by(table.c.trained_at.desc(), table.c.version.desc())


def _one(connection: Connection, query: Select[Any]) -> ModelVersion | None:
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else record(ModelVersion, row)
