"""Commands about models: their versions, promotion, rollback, replay, drift, evaluation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from ml.lifecycle.promotion import AlreadyChampionError, ChampionChangedError
from orchestration.commands.keys import actor, log
from orchestration.commands.output import OUT, AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, Models, use_existing_home
from warehouse.repositories.models import NothingToRollBackError, UnknownVersionError

MENDABLE = (
    UnknownVersionError,
    NothingToRollBackError,
    AlreadyChampionError,
    ChampionChangedError,
)

CHAMPION, WAITS = "champion", "waits for approval"

models = typer.Typer(help="Versions of the models, and which one is champion.")
drift = typer.Typer(help="Drift of the inputs.")

Model = Annotated[str, typer.Argument(help="A model, with hyphens or underscores.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the promotion log.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("promote")(promote)
    models.command("rollback")(rollback)
    app.add_typer(models, name="models")
    drift.command("report")(drift_report)
    app.add_typer(drift, name="drift")
    app.command("replay")(replay)
    app.command("evaluate")(evaluate)


def list_models(home: Home = None, as_json: AsJson = False) -> None:
    """Each model: available or why not, champion, metric beside the baseline's."""
    use_existing_home(home)
    from ml.lifecycle.summary import model_summary, run_table
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    specs = list(workspace.registry.values())
    if as_json:
        print_json([model_summary(workspace, spec) for spec in specs])
        return
    show(run_table(workspace, specs, {}), False, title="Models")


def show_model(model: Model, home: Home = None, as_json: AsJson = False) -> None:
    """One model: its versions, the log of promotions, and the champion's card."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import models as repository

    workspace = Workspace.current()
    spec = workspace.registry[model]
    with reading(workspace.engine) as connection:
        versions = repository.versions(connection, spec.name)
        decided = repository.log(connection, spec.name)
        reigning = repository.champion(connection, spec.name)
        waiting = repository.waiting(connection, spec.name)
    marks = {one.version: mark for one, mark in ((waiting, WAITS), (reigning, CHAMPION)) if one}
    listed = [
        {
            "version": one.version,
            "trained_at": one.trained_at,
            "known_through": one.known_through,
            "status": marks.get(one.version, one.status),
            **dict(one.metrics),
        }
        for one in versions
    ]
    entries = [
        {
            "at": one.decided_at,
            "action": one.action,
            "version": one.version or "none",
            "by": one.decided_by,
            "reason": one.reason,
        }
        for one in decided
    ]
    if as_json:
        print_json({"model": spec.name, "versions": listed, "log": entries})
        return
    show(listed, False, title=f"Versions of {spec.title}", empty="No version was trained yet.")
    show(entries, False, title="Promotions", empty="Nothing was promoted yet.")
    champion = workspace.champion(spec)
    if champion is not None:
        OUT.print((champion.folder / "card.md").read_text(), markup=False)


def promote(
    model: Model,
    version: Annotated[
        str, typer.Argument(help="The version's id, as `sevenfold models show` shows it.")
    ],
    reason: Reason,
    home: Home = None,
) -> None:
    """Make a version champion: this approves a candidate that waits for it.

    Also one that its gate rejected; the reason is kept. It serves within 5 seconds.
    """
    use_existing_home(home)
    from ml.lifecycle import promotion
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing

    workspace = Workspace.current()
    spec = workspace.registry[model]
    promotion.require_usable(workspace, spec, version)
    with writing(workspace.engine) as connection:
        promotion.promote(connection, spec, version, reason, actor())
        log(connection, "model.promote", spec.name, {"version": version, "reason": reason})
    note(f"{version} is champion of {spec.title}.")


def rollback(model: Model, reason: Reason, home: Home = None) -> None:
    """Make the champion before the present one champion again: the same files to the last bit."""
    use_existing_home(home)
    from ml.lifecycle import promotion
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing

    workspace = Workspace.current()
    spec = workspace.registry[model]
    looked_at = promotion.before(workspace, spec)
    with writing(workspace.engine) as connection:
        entry = promotion.rollback(connection, spec, looked_at, reason, actor())
        told = {"version": entry.version, "reason": reason}
        log(connection, "model.rollback", spec.name, told)
    note(f"Champion of {spec.title}: {entry.version or 'none'}.")


def replay(
    model: Model,
    entity: Annotated[str, typer.Argument(help="The entity, e.g. a client_id.")],
    as_of: Annotated[
        datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Day of the decision.")
    ],
    key: Annotated[
        list[str] | None, typer.Option("--key", help="Further key parts as name=value.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Compute a stored decision again from lake and artifact, and compare bit for bit."""
    use_existing_home(home)
    from ml.lifecycle.replay import replay as run_replay
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    spec = workspace.registry[model]
    parts = dict(part.partition("=")[::2] for part in key or [])
    found = run_replay(workspace, spec, entity, as_of.date(), parts)
    if as_json:
        print_json(found.to_dict())
    else:
        show(found.rows(), False, title=f"{spec.title}: {entity} on {as_of:%Y-%m-%d}")
        note(found.sentence())
    if not found.equal:
        raise typer.Exit(1)


def evaluate(
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Measure the estimators on open data sets, beside the published figures."""
    import os
    from pathlib import Path

    from ml.evaluation import run as run_evaluation
    from ml.models import default_registry
    from orchestration.commands.progress import steps

    folder = os.environ.get("SEVENFOLD_EXAMPLE_DATA")
    if not folder:
        raise typer.BadParameter(
            "set SEVENFOLD_EXAMPLE_DATA to the folder that holds the open data sets"
        )
    if not Path(folder).is_dir():
        raise typer.BadParameter(f"SEVENFOLD_EXAMPLE_DATA names {folder}, which is no folder")
    names = [spec.name for spec in default_registry().select(models)] if models else None
    with steps("starting") as progress:
        results = run_evaluation(
            Path(folder), names, lambda name: progress(f"measuring {name.replace('_', ' ')}")
        )
    rows = [
        {
            "dataset": result.dataset,
            "model": result.model,
            "metric": result.metric,
            "ours": result.ours,
            "floor": result.floor,
            "published": result.published,
            "holds": "skipped" if result.skipped else result.holds,
            "protocol": result.protocol,
        }
        for result in results
    ]
    show(rows, as_json, title="Open data sets")
    if not all(result.holds for result in results):
        raise typer.Exit(1)


def drift_report(model: Model, home: Home = None) -> None:
    """Evidently's page: today's inputs beside the champion's reference."""
    use_existing_home(home)
    from ml.lifecycle.drift_report import write_drift_report
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    page = write_drift_report(workspace, workspace.registry[model])
    note(f"Drift report: {page}")
