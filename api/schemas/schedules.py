"""Schedules and their runs as the API shows them."""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from warehouse.repositories.schedule_runs import Outcome
from warehouse.repositories.schedules import Action, Missed

ASKED: dict[str, Any] = {
    "model": "churn",
    "action": "score",
    "cron": "30 6 * * 1-5",
    "timezone": "Europe/Berlin",
    "name": "before the morning meeting",
}
EXAMPLE: dict[str, Any] = {
    "id": "sch_5f0c2a9e1b7d4c3a8e6f1d20",
    **ASKED,
    "params": {},
    "missed": "run_once",
    "paused": False,
    "next_at": "2026-07-02T04:30:00Z",
    "created_by": "me",
    "created_at": "2026-07-01T08:00:00Z",
    "changed_at": "2026-07-01T08:00:00Z",
}
RUN: dict[str, Any] = {
    "due_at": "2026-07-01T04:30:00Z",
    "fired_at": "2026-07-01T04:30:09Z",
    "late_seconds": 9.2,
    "by_hand": False,
    "outcome": "started",
    "detail": None,
    "job": "job_5f0c2a9e1b7d4c3a8e6f1d20",
    "job_state": "completed",
    "run_id": "2f6d9b1c-0b7e-4a53-9a55-5f3f0f1f6a11",
}


class Schedule(BaseModel):
    """When something is done by itself."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    id: str
    name: str
    model: str
    action: Action
    cron: str
    timezone: str
    params: dict[str, Any]
    missed: Missed
    paused: bool
    next_at: datetime.datetime | None = Field(description="When it fires next; null while paused.")
    created_by: str
    created_at: datetime.datetime
    changed_at: datetime.datetime


class Schedules(BaseModel):
    """Schedules of the firm, newest first."""

    items: list[Schedule]
    next_cursor: str | None


class ScheduleRun(BaseModel):
    """What became of one time that came due, or of one run by hand."""

    model_config = ConfigDict(json_schema_extra={"example": RUN})

    due_at: datetime.datetime
    fired_at: datetime.datetime
    late_seconds: float
    by_hand: bool
    outcome: Outcome = Field(
        description="`started`; `overlapped`: the job of an earlier time, or a training of the"
        " model, was still under way; `missed`: nothing ran when it was due."
    )
    detail: str | None
    job: str | None
    job_state: str | None
    run_id: str | None = Field(description="Dagster's run.")


class ScheduleRuns(BaseModel):
    """Runs of a schedule, newest first."""

    items: list[ScheduleRun]
    next_cursor: str | None
