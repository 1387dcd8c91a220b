"""When a model is retrained by itself, and who promotes what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select

from warehouse.control_tables import retrain_policies
from warehouse.database import upsert
from warehouse.repositories.rows import record, values

Promotion = Literal["automatic", "approval"]


@dataclass(frozen=True)
class RetrainPolicy:
    """Triggers of one model, any of which is enough, and what holds them back.

    A stored verdict of drift or of worse performance; an age of the champion in days; so many
    labels that are newly known. None starts a training sooner than ``cooldown_days`` after the
    last one, or with fewer new labels than ``min_new_labels``.
    """

    model: str
    on_drift: bool
    on_performance: bool
    max_age_days: int | None
    new_labels: int | None
    cooldown_days: int
    min_new_labels: int
    promotion: Promotion
    changed_by: str
    changed_at: datetime


def get(connection: Connection, model: str) -> RetrainPolicy | None:
    """The policy that somebody stored for the model; None where the settings hold."""
    query = select(retrain_policies).where(retrain_policies.c.model == model)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else record(RetrainPolicy, row)


def put(connection: Connection, policy: RetrainPolicy) -> None:
    """Store the policy in place of the one before."""
    upsert(connection, retrain_policies, [values(policy)], ["model"])
