"""Commands about the house itself: settings, health, migrations, purge and reset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.output import AsJson, fail, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home, use_home


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (config, doctor, migrate, purge, reset):
        app.command()(command)


def config(home: Home = None, as_json: AsJson = False) -> None:
    """Every setting with its value, secrets masked, and where to read what it means."""
    use_home(home)
    from orchestration.settings import every_setting

    rows = [
        {"setting": name, "value": value, "meaning": field.description}
        for name, value, field in every_setting()
    ]
    show(rows, as_json, title="Settings")


def doctor(home: Home = None, as_json: AsJson = False) -> None:
    """What is missing or broken, and how to mend it."""
    use_home(home)
    from orchestration.doctor import examine

    findings = examine()
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        show([finding.to_dict() for finding in findings], False, title="Doctor")
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def migrate(home: Home = None) -> None:
    """Bring the warehouse's tables up to date; never loses data."""
    use_home(home)
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.open()
    note(f"The warehouse is up to date: {len(workspace.registry)} scored tables.")


def purge(home: Home = None) -> None:
    """Remove old scores, features and jobs, their files, and what nothing in the lake names."""
    use_existing_home(home)
    from ml.lifecycle.purging import purge as run_purge
    from ml.lifecycle.workspace import Workspace

    removed = run_purge(Workspace.current())
    note(
        f"Removed {removed.scores:,} score rows, {removed.features:,} rows of stored features,"
        f" {removed.files:,} files of the lake, and the files of {removed.jobs:,} jobs."
    )


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Empty the home: lake, warehouse file, artifacts and Dagster's storage."""
    use_home(home)
    from warehouse.settings import WarehouseSettings

    settings = WarehouseSettings()
    if not settings.home.exists():
        note(f"{settings.home} is empty already.")
        return
    if not (settings.home / "warehouse.db").exists() and not (settings.home / "dagster").exists():
        fail(f"{settings.home} does not look like a Sevenfold home; nothing was removed")
        raise typer.Exit(1)
    if not yes:
        typer.confirm(f"Remove everything in {settings.home}?", abort=True)
    shutil.rmtree(settings.home)
    note(f"{settings.home} is empty.")
    if not Path(settings.store).is_relative_to(settings.home):
        note(f"Lake and artifacts lie in {settings.store}: remove lake/ and models/ there.")
    if not settings.warehouse_url.startswith("sqlite"):
        note("The warehouse is a server's database: drop its tables there.")
