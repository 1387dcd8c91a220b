"""Commands about results: decisions of a model, SQL for analysts, the owner's report."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.commands.models import Model
from orchestration.commands.output import AsJson, note, show
from orchestration.commands.pipeline import Home, use_home


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("show")(show_decisions)
    app.command("sql")(sql)
    app.command("report")(report)


def show_decisions(
    model: Model,
    top: Annotated[int, typer.Option("--top", min=1, help="How many decisions.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The newest decisions of a model, those to act on first."""
    use_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories.score_pages import Sort, read_page

    workspace = Workspace.current()
    spec = workspace.registry[model]
    with reading(workspace.engine) as connection:
        page = read_page(
            connection,
            spec,
            sort=[Sort(name.lstrip("-"), name.startswith("-")) for name in spec.act_first],
            limit=top,
        )
    if page is None:
        note(f"{spec.title} was not scored yet: run `sevenfold run`.")
        raise typer.Exit(1)
    fields = [name for name in spec.Decision.model_fields if name not in ("reasons", "evidence")]
    rows = [{name: row[name] for name in fields} for row in page.rows]
    if as_json:
        rows = [dict(row) for row in page.rows]
    else:
        for shown, row in zip(rows, page.rows, strict=True):
            shown["why"] = _why(row)
    show(rows, as_json, title=f"{spec.title} on {page.day.as_of}: {spec.decides}")


def _why(row: dict[str, object]) -> str:
    reasons = row.get("reasons")
    if isinstance(reasons, list):
        return ", ".join(str(reason["feature"]) for reason in reasons[:3])
    evidence = row.get("evidence")
    if isinstance(evidence, dict):
        return ", ".join(f"{name} {value}" for name, value in list(evidence.items())[:3])
    return ""


def sql(
    query: Annotated[str, typer.Argument(help="A SELECT over the warehouse; nothing is changed.")],
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows.")] = 1000,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Run SQL on the warehouse, read only. Tables: `<model>_scores`, views: `<model>_latest`."""
    use_home(home)
    from warehouse.analyst import query as run_query
    from warehouse.settings import WarehouseSettings

    result = run_query(WarehouseSettings().warehouse_url, query, limit)
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    show(rows, as_json, columns=list(result.columns), empty="no rows")
    if result.truncated:
        note(f"Only the first {limit} rows are shown: raise --limit for more.")


def report(home: Home = None) -> None:
    """Write the owner's page: seven models, value in money, what to do today."""
    use_home(home)
    from ml.lifecycle.workspace import Workspace
    from ml.report import write_report

    workspace = Workspace.current()
    page = write_report(workspace, list(workspace.registry.values()))
    note(f"Report: {page}")
