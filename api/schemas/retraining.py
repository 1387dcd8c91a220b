"""Retrainings, policies and promotions as the API takes and shows them."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.jobs import EXAMPLE as JOB
from api.schemas.jobs import Job
from ml.jobs.scheduling import Text
from ml.lifecycle.policies import PolicyRequest

ASKED: dict[str, Any] = {"model": "churn", "reason": "the new segment since May"}
POLICY: dict[str, Any] = {
    "on_drift": True,
    "on_performance": True,
    "max_age_days": 60,
    "new_labels": None,
    "cooldown_days": 7,
    "min_new_labels": 200,
    "promotion": "approval",
}
PROMOTION: dict[str, Any] = {
    "version": "churn-20260701-1f9e0c2a",
    "reason": "checked against the list of known leavers",
}
LOGGED: dict[str, Any] = {
    "model": "churn",
    **PROMOTION,
    "action": "promote",
    "decided_by": "me",
    "decided_at": "2026-07-01T09:00:00Z",
}


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RetrainRequest(_Asked):
    """A retraining to ask for."""

    model: Text = Field(description="Which model, with hyphens or underscores.")
    reason: Text = Field(description="Why; kept with the job.")


class Candidate(BaseModel):
    """The version that a retraining made, and how it compared on the same later data."""

    version: str
    status: Literal["candidate", "rejected"]
    known_through: datetime.date
    metrics: dict[str, Any]
    baseline_metrics: dict[str, Any]
    champion_metrics: dict[str, Any] | None = Field(
        description="The champion's on the same days; null where there was none to compare with."
    )
    gate: dict[str, Any] = Field(description="`passed`, `reasons` and `failed`.")
    promoted: bool
    waits_for_approval: bool


class Retraining(Job):
    """A retraining: its job, and the candidate that came of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **JOB,
                "kind": "train",
                "file": None,
                "form": None,
                "reasons": None,
                "rows_ok": 0,
                "rows_error": 0,
                "progress": None,
                "bytes": None,
                "links": {"self": "/api/admin/retrain/job_5f0c2a9e1b7d4c3a8e6f1d20"},
                "reason": ASKED["reason"],
                "candidate": None,
            }
        }
    )

    reason: str | None = Field(description="Why it was asked for.")
    candidate: Candidate | None = Field(description="Null until there is one.")


class Policy(PolicyRequest):
    """The policy that holds, and who set it: `settings` where nobody did."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "churn",
                **POLICY,
                "changed_by": "me",
                "changed_at": "2026-07-01T08:00:00Z",
            }
        }
    )

    model: str
    changed_by: str
    changed_at: datetime.datetime


class PromoteRequest(_Asked):
    """Which version is to serve, and why."""

    version: Text = Field(description="The version's id.")
    reason: Text = Field(description="Why; kept in the log.")


class RollbackRequest(_Asked):
    """Why the champion before is to serve again."""

    reason: Text = Field(description="Why; kept in the log.")


class Promoted(BaseModel):
    """An entry of the promotion log."""

    model_config = ConfigDict(json_schema_extra={"example": LOGGED})

    model: str
    version: str | None = Field(description="The champion from now on; null: none.")
    action: Literal["promote", "rollback"]
    reason: str
    decided_by: str
    decided_at: datetime.datetime
