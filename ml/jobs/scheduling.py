"""Schedules as people ask for them: checked whole, then kept, changed or run by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from ml.jobs.submitting import NotByNameError, require_by_name
from ml.lifecycle.workspace import Workspace
from ml.models import UnknownModelError
from warehouse.cron import CronError, check_cron
from warehouse.repositories import schedules
from warehouse.repositories.schedules import Action, Missed, Schedule

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ScheduleError(ValueError):
    """A schedule that cannot be; ``field`` is the path of the one at fault: ``params/as_of``."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScoreParams(_Params):
    """What to score."""

    as_of: date | None = Field(None, description="The day to score; default: the newest known one.")


class TrainParams(_Params):
    """How to train."""

    reason: Text | None = Field(None, description="Why, for the history.")


class BulkParams(_Params):
    """What to ask about every entity that the model knows."""

    all: Literal[True] = Field(True, description="Every entity that the model knows.")
    reasons: bool = Field(False, description="Also say why, which takes many times as long.")


PARAMS: Mapping[Action, type[_Params]] = {
    "score": ScoreParams,
    "train": TrainParams,
    "bulk": BulkParams,
}


class ScheduleRequest(BaseModel):
    """A schedule to make."""

    model_config = ConfigDict(extra="forbid")

    model: Text = Field(description="Which model, with hyphens or underscores.")
    action: Action = Field(
        description="`score` a day, `train` a candidate, or `bulk`: ask about all that it knows."
    )
    cron: Text = Field(
        description="Minute, hour, day of month, month and day of week, as Debian's cron."
    )
    timezone: Text | None = Field(
        None, description="IANA name, as `Europe/Berlin`; default: the firm's."
    )
    name: Text = Field("schedule", description="What people call it.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="`score` takes `as_of`, `train` takes `reason`, `bulk` takes `reasons`.",
    )
    missed: Missed = Field(
        "run_once",
        description="Of times that passed while nothing ran, `run_once` runs one, `skip` none.",
    )
    paused: bool = Field(False, description="Keep it without firing it.")


class SchedulePatch(BaseModel):
    """What of a schedule is changed; the rest stays."""

    model_config = ConfigDict(extra="forbid")

    cron: Text | None = None
    timezone: Text | None = None
    name: Text | None = None
    params: dict[str, Any] | None = None
    missed: Missed | None = None
    paused: bool | None = None


def create(
    connection: Connection,
    workspace: Workspace,
    asked: ScheduleRequest,
    owner: str,
    created_by: str,
    now: datetime,
) -> Schedule:
    """Keep a schedule; ScheduleError where its model, cron, time zone or params cannot be."""
    try:
        spec = workspace.registry[asked.model]
        if asked.action == "bulk":
            require_by_name(spec)
    except UnknownModelError as error:
        raise ScheduleError(str(error), "model") from error
    except NotByNameError as error:
        raise ScheduleError(str(error), "action") from error
    timezone = asked.timezone or workspace.settings.timezone
    _check_times(workspace, asked.cron, timezone, now)
    return schedules.create(
        connection,
        name=asked.name,
        model=spec.name,
        action=asked.action,
        cron=asked.cron,
        timezone=timezone,
        params=_params(asked.action, asked.params),
        missed=asked.missed,
        paused=asked.paused,
        owner=owner,
        created_by=created_by,
        now=now,
    )


def change(
    connection: Connection,
    workspace: Workspace,
    schedule: Schedule,
    asked: SchedulePatch,
    now: datetime,
) -> Schedule:
    """Change what is asked; ScheduleError as for a new one."""
    changes = asked.model_dump(exclude_none=True)
    if "params" in changes:
        changes["params"] = _params(schedule.action, changes["params"])
    if changes.keys() & {"cron", "timezone"}:  # one that stays may be paused whatever it is
        cron = changes.get("cron", schedule.cron)
        timezone = changes.get("timezone", schedule.timezone)
        _check_times(workspace, cron, timezone, now)
    changed = schedules.change(connection, schedule.id, changes, now)
    assert changed is not None, "read in the same transaction"
    return changed


def _check_times(workspace: Workspace, cron: str, timezone: str, now: datetime) -> None:
    least = timedelta(minutes=workspace.ml.schedule_min_minutes)
    try:
        check_cron(cron, timezone, least, now)
    except CronError as error:
        raise ScheduleError(str(error), error.field) from error


def _params(action: Action, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return PARAMS[action].model_validate(given).model_dump(mode="json", exclude_none=True)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        names = [str(one) for one in first["loc"]]
        takes = " and ".join(PARAMS[action].model_fields)
        said = f"{'.'.join(names)}: {first['msg']}; action {action!r} takes {takes}"
        raise ScheduleError(said, "/".join(["params", *names])) from error
