"""Commands about people's schedules: made, watched, changed, run by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ml.jobs.scheduling import ScheduleError, SchedulePatch, ScheduleRequest
from orchestration.commands.asked import asked, given, meaning
from orchestration.commands.keys import actor, log
from orchestration.commands.output import AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home
from warehouse.cron import zone_of
from warehouse.repositories.schedule_runs import UnderWayError
from warehouse.repositories.schedules import Action, Missed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from warehouse.repositories.schedule_runs import ScheduleRun
    from warehouse.repositories.schedules import Schedule


class UnknownScheduleError(LookupError):
    """There is no schedule of that id."""

    def __init__(self, schedule_id: str) -> None:
        super().__init__(
            f"there is no schedule {schedule_id!r}: `sevenfold schedules list` shows them"
        )


MENDABLE = (UnknownScheduleError, ScheduleError, UnderWayError)

schedules = typer.Typer(
    help="Schedules of your own, beside the daily and weekly ones that Dagster always has."
)

ScheduleId = Annotated[
    str, typer.Argument(help="The schedule's id, as `sevenfold schedules list` shows it.")
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", help=f"As name=value. {meaning(ScheduleRequest, 'params')}"),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    schedules.command("create")(create)
    schedules.command("list")(list_schedules)
    schedules.command("show")(show_schedule)
    schedules.command("change")(change)
    schedules.command("delete")(delete)
    schedules.command("run")(run_now)
    app.add_typer(schedules, name="schedules")


def create(
    model: Annotated[str, typer.Argument(help=meaning(ScheduleRequest, "model"))],
    action: Annotated[Action, typer.Argument(help=meaning(ScheduleRequest, "action"))],
    cron: Annotated[str, typer.Option("--cron", help=meaning(ScheduleRequest, "cron"))],
    timezone: Annotated[
        str | None, typer.Option("--timezone", help=meaning(ScheduleRequest, "timezone"))
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help=meaning(ScheduleRequest, "name"))
    ] = None,
    param: Params = None,
    missed: Annotated[
        Missed | None, typer.Option("--missed", help=meaning(ScheduleRequest, "missed"))
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Keep it without firing it.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a schedule; it fires while Dagster runs (`sevenfold serve`)."""
    use_existing_home(home)
    from ml.jobs import scheduling
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing

    options = given(timezone=timezone, name=name, params=_params(param), missed=missed)
    wanted = asked(
        ScheduleRequest,
        {"model": model, "action": action, "cron": cron, "paused": paused, **options},
    )
    workspace = Workspace.current()
    with writing(workspace.engine) as connection:
        made = scheduling.create(connection, workspace, wanted, actor(), actor(), utc_now())
        said = {"model": made.model, "action": made.action, "cron": made.cron}
        log(connection, "schedule.create", made.id, said)
    if as_json:
        print_json(_row(made))
        return
    typer.echo(made.id)
    note(_fires_next(made))


def list_schedules(
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many.")] = 100,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Schedules, newest first, and when each fires next, in its own time zone."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import schedules as repository

    with reading(Workspace.current().engine) as connection:
        found = repository.page(connection, top)
    show(
        [_row(one) for one in found],
        as_json,
        title="Schedules",
        columns=["id", "name", "model", "action", "cron", "timezone", "next_at", "paused"],
        empty="No schedule yet: `sevenfold schedules create churn score --cron '30 6 * * 1-5'`"
        " makes one.",
    )


def show_schedule(
    schedule_id: ScheduleId,
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many runs.")] = 10,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """A schedule, and what became of its last times."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import schedule_runs

    with reading(Workspace.current().engine) as connection:
        found = _there(connection, schedule_id)
        runs = schedule_runs.page(connection, schedule_id, top)
    rows = [_run_row(found, run) for run in runs]
    if as_json:
        print_json({**_row(found), "runs": rows})
        return
    show([{"": name, "schedule": value} for name, value in _row(found).items()], False)
    show(rows, False, title="Its runs, newest first", empty="It did not fire yet.")


def change(
    schedule_id: ScheduleId,
    cron: Annotated[
        str | None, typer.Option("--cron", help=meaning(ScheduleRequest, "cron"))
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="IANA name, as `Europe/Berlin`.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help=meaning(ScheduleRequest, "name"))
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            help="As name=value, in place of all it had; without a value (name=) it is left out.",
        ),
    ] = None,
    missed: Annotated[
        Missed | None, typer.Option("--missed", help=meaning(ScheduleRequest, "missed"))
    ] = None,
    paused: Annotated[
        bool | None, typer.Option("--paused/--active", help="Stop firing it, or go on.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Change a schedule; it fires next after now, and what was due before is given up."""
    use_existing_home(home)
    from ml.jobs import scheduling
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing

    changes = given(
        cron=cron,
        timezone=timezone,
        name=name,
        params=_params(param),
        missed=missed,
        paused=paused,
    )
    if not changes:
        raise typer.BadParameter("say what to change, such as --cron or --paused")
    wanted = asked(SchedulePatch, changes)
    workspace = Workspace.current()
    with writing(workspace.engine) as connection:
        before = _there(connection, schedule_id)
        after = scheduling.change(connection, workspace, before, wanted, utc_now())
        said = wanted.model_dump(mode="json", exclude_none=True)
        log(connection, "schedule.change", schedule_id, said)
    if as_json:
        print_json(_row(after))
    else:
        note(_fires_next(after))


def delete(schedule_id: ScheduleId, home: Home = None, as_json: AsJson = False) -> None:
    """Remove a schedule; a run that it started goes on, and its history stays."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing
    from warehouse.repositories import schedules as repository

    with writing(Workspace.current().engine) as connection:
        if not repository.delete(connection, schedule_id, utc_now()):
            raise UnknownScheduleError(schedule_id)
        log(connection, "schedule.delete", schedule_id, {})
    if as_json:
        print_json({"id": schedule_id, "deleted": True})
    else:
        note(f"Schedule {schedule_id} fires no more.")


def run_now(schedule_id: ScheduleId, home: Home = None, as_json: AsJson = False) -> None:
    """Do now what a schedule does, also where it is paused; Dagster starts the run."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing
    from warehouse.repositories import schedule_runs

    with writing(Workspace.current().engine) as connection:
        schedule = _there(connection, schedule_id)
        run = schedule_runs.run_by_hand(connection, schedule, actor(), utc_now())
        log(connection, "schedule.run", schedule_id, {"job": run.job})
    if as_json:
        print_json(_run_row(schedule, run))
        return
    typer.echo(run.job)
    note(f"Queued. `sevenfold jobs show {run.job}` says how far it is.")


def _params(words: Sequence[str] | None) -> dict[str, str] | None:
    """Parameters by name; those without a value are left out."""
    if words is None:
        return None
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"give it as name=value, not {word!r}", param_hint="--param")
        if value:
            found[name] = value
    return found


def _there(connection: Connection, schedule_id: str) -> Schedule:
    from warehouse.repositories import schedules as repository

    found = repository.get(connection, schedule_id)
    if found is None:
        raise UnknownScheduleError(schedule_id)
    return found


def _fires_next(schedule: Schedule) -> str:
    if schedule.next_at is None:
        return f"Schedule {schedule.id} is paused."
    next_at = schedule.next_at.astimezone(zone_of(schedule.timezone))
    return f"Schedule {schedule.id} fires next on {next_at:%F at %R} ({schedule.timezone})."


def _row(schedule: Schedule) -> dict[str, Any]:
    """All that is known of it; ``next_at`` in its own time zone."""
    from warehouse.repositories.rows import values

    row = values(schedule)
    if schedule.next_at is not None:
        row["next_at"] = schedule.next_at.astimezone(zone_of(schedule.timezone))
    return row


def _run_row(schedule: Schedule, run: ScheduleRun) -> dict[str, Any]:
    """What became of a time, told in the schedule's time zone."""
    return {
        "due_at": run.due_at.astimezone(zone_of(schedule.timezone)),
        "outcome": run.outcome,
        "late_seconds": run.late_seconds,
        "by_hand": run.by_hand,
        "job": run.job,
        "job_state": run.job_state,
        "run_id": run.run_id,
        "detail": run.detail,
    }
