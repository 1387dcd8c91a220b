"""Commands about retraining: asked for, watched, and when it starts by itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ml.jobs.retraining import TrainingUnderWayError
from ml.jobs.scheduling import TrainParams
from ml.lifecycle.policies import PolicyRequest
from orchestration.commands.asked import asked, given, meaning
from orchestration.commands.jobs import JobId, UnknownJobError, found_job, job_row
from orchestration.commands.keys import actor, log
from orchestration.commands.models import Model
from orchestration.commands.output import AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home
from warehouse.repositories.policies import Promotion

if TYPE_CHECKING:
    from ml.jobs.retraining import Trained
    from warehouse.repositories.jobs import Job

MENDABLE = (TrainingUnderWayError,)
NONE = "none"
"""What takes the trigger of a number away."""

retrain = typer.Typer(help="Retraining: by request, and by a policy of each model.")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    retrain.command("ask")(ask)
    retrain.command("list")(list_retrainings)
    retrain.command("show")(show_retraining)
    retrain.command("policy")(policy)
    app.add_typer(retrain, name="retrain")


def ask(
    model: Model,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the job.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a training now, whatever the policy says; Dagster starts the run."""
    use_existing_home(home)
    from ml.jobs import retraining
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing

    asked(TrainParams, {"reason": reason})  # of the same limits as a schedule's or the API's
    workspace = Workspace.current()
    spec = workspace.registry[model]
    with writing(workspace.engine) as connection:
        job = retraining.ask(connection, spec, reason, actor(), actor())
        log(connection, "retrain.ask", job.id, {"model": spec.name})
    if as_json:
        print_json(job_row(job))
        return
    typer.echo(job.id)
    note(f"Queued. `sevenfold retrain show {job.id}` says what comes of it.")


def list_retrainings(
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Trainings that were asked for by somebody, a schedule or a policy, newest first."""
    use_existing_home(home)
    from ml.jobs import retraining
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import jobs

    with reading(Workspace.current().engine) as connection:
        found = jobs.page(connection, top, kinds=["train"])
        rows = [_listed(job, retraining.outcome(connection, job)) for job in found]
    show(
        rows,
        as_json,
        title="Retrainings",
        empty="None was asked for yet: `sevenfold retrain ask churn --reason …` does.",
    )


def show_retraining(job_id: JobId, home: Home = None, as_json: AsJson = False) -> None:
    """A retraining: its state, the version that came of it, and how that compared."""
    use_existing_home(home)
    from ml.jobs import retraining
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading

    workspace = Workspace.current()
    job = found_job(workspace, job_id)
    if job.kind != "train":
        raise UnknownJobError(f"job {job_id} is no retraining: `sevenfold jobs show` shows it")
    with reading(workspace.engine) as connection:
        trained = retraining.outcome(connection, job)
    row = {**job_row(job), "reason": job.params.get("reason")}
    candidate = None if trained is None else trained.shown()
    if as_json:
        print_json({**row, "candidate": candidate})
        return
    show([{"": name, "retraining": value} for name, value in row.items()], False)
    show(
        [{"": name, "candidate": value} for name, value in (candidate or {}).items()],
        False,
        empty="No version came of it yet.",
    )


def policy(
    model: Model,
    on_drift: Annotated[
        bool | None,
        typer.Option("--on-drift/--no-on-drift", help=meaning(PolicyRequest, "on_drift")),
    ] = None,
    on_performance: Annotated[
        bool | None,
        typer.Option(
            "--on-performance/--no-on-performance", help=meaning(PolicyRequest, "on_performance")
        ),
    ] = None,
    max_age_days: Annotated[
        str | None,
        typer.Option(
            "--max-age-days", metavar="DAYS|none", help=meaning(PolicyRequest, "max_age_days")
        ),
    ] = None,
    new_labels: Annotated[
        str | None,
        typer.Option(
            "--new-labels", metavar="COUNT|none", help=meaning(PolicyRequest, "new_labels")
        ),
    ] = None,
    cooldown_days: Annotated[
        int | None, typer.Option("--cooldown-days", help=meaning(PolicyRequest, "cooldown_days"))
    ] = None,
    min_new_labels: Annotated[
        int | None,
        typer.Option("--min-new-labels", help=meaning(PolicyRequest, "min_new_labels")),
    ] = None,
    promotion: Annotated[
        Promotion | None, typer.Option("--promotion", help=meaning(PolicyRequest, "promotion"))
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """When a model is retrained by itself, any trigger being enough; options change it."""
    use_existing_home(home)
    from ml.lifecycle import policies
    from ml.lifecycle.retraining import policy_of
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading, utc_now, writing

    changes = given(
        on_drift=on_drift,
        on_performance=on_performance,
        max_age_days=max_age_days,
        new_labels=new_labels,
        cooldown_days=cooldown_days,
        min_new_labels=min_new_labels,
        promotion=promotion,
    )
    changes = {name: None if value == NONE else value for name, value in changes.items()}
    workspace = Workspace.current()
    spec = workspace.registry[model]
    with (writing if changes else reading)(workspace.engine) as connection:
        holds = policy_of(connection, workspace, spec)
        if changes:
            now = {name: getattr(holds, name) for name in PolicyRequest.model_fields}
            wanted = asked(PolicyRequest, now | changes)
            holds = policies.put(connection, spec, wanted, actor(), utc_now())
            log(connection, "retrain.policy", spec.name, wanted.model_dump())
    row = asdict(holds)
    if as_json:
        print_json(row)
        return
    show([{"": name, "policy": value} for name, value in row.items()], False)


def _listed(job: Job, trained: Trained | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "model": job.model,
        "state": job.state,
        "asked_by": job.asked_by,
        "reason": job.params.get("reason"),
        "created_at": job.created_at,
        "version": trained.version.version if trained else None,
        "passed": trained.version.gate["passed"] if trained else None,
        "promoted": trained.promoted if trained else None,
        "waits_for_approval": trained.waits if trained else None,
    }
