"""Policies as people ask for them: when a model is retrained by itself, checked whole."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from ml.models import ModelSpec
from warehouse.repositories import policies
from warehouse.repositories.policies import Promotion, RetrainPolicy


class PolicyRequest(BaseModel):
    """When a model is retrained by itself: any trigger is enough."""

    model_config = ConfigDict(extra="forbid")

    on_drift: bool = Field(True, description="When a day's inputs drifted.")
    on_performance: bool = Field(True, description="When it is worse than its baseline.")
    max_age_days: int | None = Field(None, ge=1, le=3650, description="When it is as old as that.")
    new_labels: int | None = Field(
        None, ge=1, le=10**12, description="When so many labels are newly known."
    )
    cooldown_days: int = Field(7, ge=0, le=3650, description="Not sooner after the last training.")
    min_new_labels: int = Field(200, ge=0, le=10**12, description="Not with fewer new labels.")
    promotion: Promotion = Field(
        "automatic",
        description="Whether a candidate that passes its gate serves at once (automatic), or waits"
        " for somebody's approval: until it is promoted.",
    )


def put(
    connection: Connection, spec: ModelSpec, asked: PolicyRequest, changed_by: str, now: datetime
) -> RetrainPolicy:
    """Store what was asked as the model's policy, in place of the one before."""
    policy = RetrainPolicy(spec.name, **asked.model_dump(), changed_by=changed_by, changed_at=now)
    policies.put(connection, policy)
    return policy
