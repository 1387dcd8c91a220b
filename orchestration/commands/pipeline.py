"""``run`` and ``serve``: the pipeline once, and the services that keep it going."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ml.priority import RUN, step_aside
from orchestration.commands.output import AsJson, note, print_json, show

Home = Annotated[Path | None, typer.Option("--home", help="Folder of all state (SEVENFOLD_HOME).")]
Models = Annotated[str | None, typer.Option("--models", help="Only these, separated by commas.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(run)
    app.command()(serve)


def use_home(home: Path | None) -> None:
    """Make ``--home`` the home of this process and of what it starts."""
    if home is not None:
        os.environ["SEVENFOLD_HOME"] = str(home.expanduser().resolve())


def use_existing_home(home: Path | None) -> None:
    """The same for commands that only read: a mistyped home is refused, not made."""
    use_home(home)
    from ml.refusals import NoHomeError
    from warehouse.database import parse_url
    from warehouse.settings import WarehouseSettings

    settings = WarehouseSettings()
    url = parse_url(settings.warehouse_url)
    if url.drivername == "sqlite" and not Path(str(url.database)).is_file():
        raise NoHomeError(
            f"There is no Sevenfold home at {settings.home}: `sevenfold run --home"
            f" {settings.home}` makes one; for another, give --home or set SEVENFOLD_HOME."
        )


def run(
    source: Annotated[
        str | None, typer.Option("--source", help="Where the data comes from (SEVENFOLD_SOURCE).")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d"],
            help="Day to score; default: the earlier of yesterday and the newest event.",
        ),
    ] = None,
    models: Models = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train the selected models now, due or not.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole pipeline once: ingest, train what is due, score the day, show the result."""
    step_aside(RUN)
    use_home(home)
    if source is not None:
        os.environ["SEVENFOLD_SOURCE"] = source
    from orchestration.commands.progress import steps
    from orchestration.resources import prepare_dagster_home
    from warehouse.settings import WarehouseSettings

    settings = WarehouseSettings()
    with steps("starting") as progress:
        prepare_dagster_home(settings)
        from ml.lifecycle.summary import run_table
        from ml.lifecycle.workspace import Workspace
        from ml.report import write_report
        from orchestration.pipeline import run_pipeline

        workspace = Workspace.current()
        specs = workspace.registry.select(models)
        day = as_of.date() if as_of else None
        done = run_pipeline(workspace, specs, day, progress, train)
        progress("writing the report")
        problems = {step.model: step.problem for step in done if step.problem}
        failed = [step.model for step in done if step.failed]
        status = int(any(step.to_mend for step in done))
        rows = run_table(workspace, specs, problems, failed)
        page = write_report(workspace, workspace.registry.select(None))
    if as_json:
        print_json(rows)
        raise typer.Exit(status)
    show(rows, False, title=f"Sevenfold on {day or workspace.as_of()}")
    for table, count in sorted(workspace.data_version().quarantined.items()):
        if count:
            note(f"{count:,} rows of {table} are in quarantine: `sevenfold quality show`")
    note(f"\nReport for the owner: {page}")
    note(
        "Next: `make serve` opens the Dagster UI (http://localhost:3000) and the API"
        " (http://localhost:8000); `sevenfold show churn` lists whom to call first."
    )
    raise typer.Exit(status)


def serve(
    home: Home = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the API (SEVENFOLD_API_PORT, 8000).")
    ] = None,
    dagster_port: Annotated[
        int | None, typer.Option(help="Port of the Dagster UI (SEVENFOLD_DAGSTER_PORT, 3000).")
    ] = None,
) -> None:
    """Start the Dagster UI with its daemon and the API; Ctrl-C stops all of them."""
    use_home(home)
    from orchestration.processes import serve_all
    from orchestration.settings import OrchestrationSettings

    settings = OrchestrationSettings()
    status = serve_all(
        settings.api_host, port or settings.api_port, dagster_port or settings.dagster_port
    )
    raise typer.Exit(status)
