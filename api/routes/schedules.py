"""Schedules of the firm: made, watched, changed and run by hand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from api import cursors
from api.auditing import asked_by, caller_of, note
from api.dependencies import services
from api.idempotency import PARAMETER, Made, once
from api.problems import Problem, refused
from api.routing import SecuredRoute, add, needs
from api.schemas.schedules import ASKED, Schedule, ScheduleRun, ScheduleRuns, Schedules
from ml.jobs import scheduling
from ml.jobs.scheduling import ScheduleError, SchedulePatch, ScheduleRequest
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import schedule_runs
from warehouse.repositories import schedules as repository
from warehouse.repositories.schedule_runs import UnderWayError

PATH = "/api/schedules"
Limit = Annotated[int, Query(ge=1, le=1000)]


def add_routes(app: FastAPI) -> None:
    """``/api/admin/schedule``, ``/api/schedules`` and what is below it."""
    one = f"{PATH}/{{schedule_id}}"
    reads: dict[str, Any] = {"tags": ["Schedules"], "openapi_extra": needs("read")}
    admin = reads | {"openapi_extra": needs("admin")}
    creates = admin | {
        "openapi_extra": needs("admin") | {"parameters": [PARAMETER]},
        "methods": ["POST"],
        "status_code": 201,
    }
    add(
        app,
        SecuredRoute,
        "/api/admin/schedule",
        summary="Make a schedule",
        description="It fires as Debian's cron does in its time zone: a time that is skipped in"
        " spring runs when the clock has moved, one that comes twice in autumn runs once.",
        response_model=Schedule,
        **creates,
    )(create)
    add(app, SecuredRoute, PATH, methods=["GET"], summary="Schedules, newest first", **reads)(
        list_schedules
    )
    add(app, SecuredRoute, one, methods=["GET"], summary="One schedule", **reads)(show)
    add(
        app,
        SecuredRoute,
        one,
        methods=["PATCH"],
        summary="Change a schedule; it fires next after now",
        **admin,
    )(change)
    add(
        app,
        SecuredRoute,
        one,
        methods=["DELETE"],
        status_code=204,
        summary="Remove a schedule; its history stays",
        **admin,
    )(delete)
    add(
        app,
        SecuredRoute,
        f"{one}/runs",
        methods=["GET"],
        summary="What became of its times, newest first",
        **reads,
    )(list_runs)
    add(
        app,
        SecuredRoute,
        f"{one}/run",
        summary="Do now what the schedule does",
        response_model=ScheduleRun,
        **creates,
    )(run_now)


async def create(
    request: Request, body: Annotated[ScheduleRequest, Body(examples=[ASKED])]
) -> Response:
    """A schedule of the firm."""
    having = services(request)

    def make(connection: Connection) -> Made:
        caller = caller_of(request)
        try:
            made = scheduling.create(
                connection, having.workspace, body, caller.owner, caller.owner, utc_now()
            )
        except ScheduleError as error:
            raise refused(error.field, str(error)) from error
        said = {"model": made.model, "action": made.action, "cron": made.cron}
        note(connection, request, "schedule.create", made.id, said)
        return Made(_shown(made))

    answer: Response = await having.write(lambda: once(request, body, make))
    return answer


def list_schedules(request: Request, limit: Limit = 100, cursor: str | None = None) -> Schedules:
    with reading(services(request).workspace.engine) as connection:
        found = repository.page(connection, limit + 1, cursors.after(cursor))
    items, following = cursors.cut(found, limit)
    return Schedules(items=[_shown(one) for one in items], next_cursor=following)


def show(request: Request, schedule_id: str) -> Schedule:
    with reading(services(request).workspace.engine) as connection:
        return _shown(_there(connection, schedule_id))


async def change(request: Request, schedule_id: str, body: SchedulePatch) -> Schedule:
    having = services(request)

    def work() -> Schedule:
        with writing(having.workspace.engine) as connection:
            before = _there(connection, schedule_id)
            try:
                after = scheduling.change(connection, having.workspace, before, body, utc_now())
            except ScheduleError as error:
                raise refused(error.field, str(error)) from error
            if after != before:
                said = body.model_dump(mode="json", exclude_none=True)
                note(connection, request, "schedule.change", schedule_id, said)
            return _shown(after)

    return await having.write(work)


async def delete(request: Request, schedule_id: str) -> Response:
    having = services(request)

    def work() -> None:
        with writing(having.workspace.engine) as connection:
            if not repository.delete(connection, schedule_id, utc_now()):
                raise _unknown(schedule_id)
            note(connection, request, "schedule.delete", schedule_id, {})

    await having.write(work)
    return Response(status_code=204)


def list_runs(
    request: Request, schedule_id: str, limit: Limit = 100, cursor: str | None = None
) -> ScheduleRuns:
    after = None
    if cursor is not None:
        due_at, by_hand = cursors.decode(cursor, str, int)
        after = (cursors.instant(due_at), bool(by_hand))
    with reading(services(request).workspace.engine) as connection:
        _there(connection, schedule_id)
        found = schedule_runs.page(connection, schedule_id, limit + 1, after)
    more, found = len(found) > limit, found[:limit]
    last = found[-1] if more else None
    return ScheduleRuns(
        items=[_run(one) for one in found],
        next_cursor=cursors.encode(last.due_at.isoformat(), int(last.by_hand)) if last else None,
    )


async def run_now(request: Request, schedule_id: str) -> Response:
    """A job now, whatever the time, also where the schedule is paused."""
    having = services(request)

    def make(connection: Connection) -> Made:
        schedule = _there(connection, schedule_id)
        try:
            run = schedule_runs.run_by_hand(connection, schedule, asked_by(request), utc_now())
        except UnderWayError as busy:
            said = f"{busy}: wait for it, or cancel it."
            raise Problem(409, "schedule_under_way", said) from busy
        note(connection, request, "schedule.run", schedule_id, {"job": run.job})
        return Made(_run(run))

    answer: Response = await having.write(lambda: once(request, schedule_id.encode(), make))
    return answer


def _there(connection: Connection, schedule_id: str) -> repository.Schedule:
    found = repository.get(connection, schedule_id)
    if found is None:
        raise _unknown(schedule_id)
    return found


def _unknown(schedule_id: str) -> Problem:
    return Problem(404, "unknown_schedule", f"There is no schedule {schedule_id!r}.")


def _shown(schedule: repository.Schedule) -> Schedule:
    return Schedule(**{name: getattr(schedule, name) for name in Schedule.model_fields})


def _run(run: schedule_runs.ScheduleRun) -> ScheduleRun:
    return ScheduleRun(**{name: getattr(run, name) for name in ScheduleRun.model_fields})
