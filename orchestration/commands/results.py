"""Commands about results: decisions of a model, SQL for analysts, the owner's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.commands.models import Model
from orchestration.commands.output import AsJson, note, show, text
from orchestration.commands.pipeline import Home, use_existing_home

if TYPE_CHECKING:
    from ml.models import ModelSpec


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
    use_existing_home(home)
    from ml.lifecycle.summary import model_summary
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
        silent = model_summary(workspace, spec)["reason"]
        note(silent or f"{spec.title} was not scored yet: run `sevenfold run`.")
        raise typer.Exit(1)
    fields = [name for name in spec.Decision.model_fields if name not in ("reasons", "evidence")]
    rows = [{name: row[name] for name in fields} for row in page.rows]
    if as_json:
        rows = [dict(row) for row in page.rows]
    else:
        told = [_why(row) for row in page.rows]
        if any(told):
            rows = [row | {"why": why} for row, why in zip(rows, told, strict=True)]
    show(rows, as_json, title=f"{spec.title} on {page.day.as_of}: {spec.decides} {_order(spec)}")


def _order(spec: ModelSpec) -> str:
    """How decisions are sorted, in words."""
    words = {bool: ("yes", "no"), float: ("highest", "lowest"), int: ("highest", "lowest")}
    parts = []
    for name in spec.act_first:
        column = name.lstrip("-")
        descending, ascending = words.get(
            spec.Decision.model_fields[column].annotation, ("last", "first")
        )
        first = descending if name.startswith("-") else ascending
        parts.append(column.replace("_", " ") + (f" ({first} first)" if first != "first" else ""))
    return f"Sorted by {', '.join(parts)}."


def _why(row: Mapping[str, Any]) -> str:
    reasons = row.get("reasons")
    if isinstance(reasons, list):
        return ", ".join(_reason(reason) for reason in reasons[:3])
    evidence = row.get("evidence")
    if isinstance(evidence, dict):
        return ", ".join(f"{name} {text(value)}" for name, value in list(evidence.items())[:3])
    return ""


def _reason(reason: Mapping[str, Any]) -> str:
    """An input, its value, and whether it raised (+) or lowered (-) the decision."""
    moved = reason.get("contribution")
    if not moved:
        return str(reason["feature"])  # a sentence of its own
    value = text(reason.get("value")) or "missing"
    return f"{reason['feature']} {value} ({'+' if moved > 0 else '-'})"


def sql(
    query: Annotated[str, typer.Argument(help="A SELECT over the warehouse; nothing is changed.")],
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows.")] = 1000,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Run SQL on the warehouse, read only. Tables: `<model>_scores`, views: `<model>_latest`."""
    use_existing_home(home)
    from warehouse.analyst import query as run_query
    from warehouse.settings import WarehouseSettings

    result = run_query(WarehouseSettings().warehouse_url, query, limit)
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    show(rows, as_json, columns=list(result.columns), empty="no rows")
    if result.truncated:
        note(f"Only the first {limit} rows are shown: raise --limit for more.")


def report(home: Home = None) -> None:
    """Write the owner's page: seven models, value in money, what to do today."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from ml.report import write_report

    workspace = Workspace.current()
    page = write_report(workspace, list(workspace.registry.values()))
    note(f"Report: {page}")
