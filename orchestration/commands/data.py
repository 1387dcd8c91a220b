"""Commands about data: check a source, propose mappings for own files, quality verdicts."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orchestration.commands.output import AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home
from warehouse.analyst import QueryRefusedError
from warehouse.objects import StoreError
from warehouse.repositories.data_versions import OtherSourceError
from warehouse.repositories.verdicts import NothingToAcceptError
from warehouse.sources.errors import SourceError

if TYPE_CHECKING:
    from warehouse.sources.check import TableCheck

MENDABLE = (SourceError, OtherSourceError, NothingToAcceptError, QueryRefusedError, StoreError)

quality = typer.Typer(help="Quality verdicts: see them, or accept a failed rule.")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("check-source")(check_source)
    app.command("init-source")(init_source)
    quality.command("show")(quality_show)
    quality.command("accept")(quality_accept)
    app.add_typer(quality, name="quality")


def check_source(
    source: Annotated[str, typer.Argument(help="sample[:…], folder:PATH or a database URL.")],
    as_json: AsJson = False,
) -> None:
    """Say which tables are there, what is wrong in them, and which models they are enough for."""
    from ml.models import default_registry
    from warehouse.settings import WarehouseSettings
    from warehouse.sources.check import check_source as check

    report = check(source, WarehouseSettings())
    models = [
        {
            "model": spec.route,
            "available": spec.lacking(report.present) is None,
            "remark": spec.lacking(report.present) or "",
        }
        for spec in default_registry().values()
    ]
    if as_json:
        print_json({**asdict(report), "absent": report.absent, "models": models})
    else:
        show([_looked_at(table) for table in report.tables], False, title=f"Tables of {source}")
        for table in report.tables:
            _tell_problems(table)
        if report.unmatched:
            others = ", ".join(report.unmatched)
            note(f"Files that are no table of their own (a mapping may read them): {others}")
        note(f"Tables that are not there: {', '.join(report.absent) or 'none'}")
        show(models, False, title="Models")
    if any(table.verdict == "fail" for table in report.tables):
        raise typer.Exit(1)


def _looked_at(table: TableCheck) -> dict[str, object]:
    return {
        "table": table.name,
        "verdict": table.verdict,
        "rows": table.rows,
        "usable": table.usable,
        "columns": ", ".join(table.columns),
        "kept_as_extra": ", ".join(table.extra or ()),
    }


def _tell_problems(table: TableCheck) -> None:
    if table.error:
        note(f"[red]{table.name}[/]: {escape(table.error)}")
    for broken in table.failed_rules:
        note(f"[yellow]{table.name}[/] {broken.severity}: {escape(broken.message)}")
    for problem in table.problems:
        where = ", ".join(
            f"{kind} {one[kind]}"
            for one in problem.examples
            for kind in ("row", "line")
            if kind in one
        )
        note(f"[yellow]{table.name}[/]: {problem.count:,} rows: {escape(problem.reason)} ({where})")


def init_source(
    folder: Annotated[Path, typer.Argument(help="A folder with your own CSV or Parquet files.")],
) -> None:
    """Read your own files and propose the .sql mappings, beside them and never over anything."""
    from warehouse.sources.mapping import init_source as propose

    report = propose(folder)
    rows = [
        {
            "file": one.file,
            "table": one.table or "none",
            "columns": ", ".join(f"{name} = {sql}" for name, sql in one.columns.items()),
            "remark": "; ".join(one.notes),
        }
        for one in report.proposals
    ]
    show(rows, False, title=f"Files of {folder}")
    for title, paths in (("Written", report.written), ("There already, left alone", report.kept)):
        if paths:
            note(f"{title}: {', '.join(path.name for path in paths)}")
    note(f"\nNext: read the proposed files, then `sevenfold check-source folder:{folder}`.")


def quality_show(
    table: Annotated[str | None, typer.Argument(help="One table; default: all.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The newest verdict on each table, with the rules that failed."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import verdicts

    workspace = Workspace.current()
    with reading(workspace.engine) as connection:
        found = verdicts.newest(connection, [table] if table else None)
        accepted = verdicts.acceptances(connection)
    rows: list[dict[str, Any]] = []
    for name, verdict in found.items():
        failed = [
            asdict(broken) | {"accepted": (name, broken.rule) in accepted}
            for broken in verdict.failed_rules
        ]
        told = (
            f"{one['rule']}: {one['message']}" + (" (accepted)" if one["accepted"] else "")
            for one in failed
        )
        rows.append(
            {
                "table": name,
                "verdict": verdict.verdict,
                "rows": verdict.rows,
                "quarantined": verdict.quarantined,
                "failed_rules": failed if as_json else "; ".join(told),
            }
        )
    show(rows, as_json, title="Quality verdicts", empty="No verdicts yet: run `sevenfold run`.")


def quality_accept(
    table: Annotated[str, typer.Argument(help="The table whose rule failed.")],
    rule: Annotated[str, typer.Argument(help="The rule, as `quality show --json` names it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is right to go on.")],
    home: Home = None,
) -> None:
    """Accept a failed rule; it holds for later snapshots until the figure gets worse."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing
    from warehouse.repositories import verdicts

    workspace = Workspace.current()
    with writing(workspace.engine) as connection:
        accepted = verdicts.accept(connection, table, rule, getpass.getuser(), reason)
    note(f"Accepted {rule} on {table} at {accepted.figure:.4g}; it holds until it gets worse.")
