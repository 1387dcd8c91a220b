"""How commands print: tables on a terminal, JSON for programs, messages on standard error."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

UNWRAPPED = 100_000
OUT = Console()
ERR = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def fail(message: str) -> None:
    """One message on standard error."""
    ERR.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """A remark beside the result, on standard error."""
    ERR.print(message, highlight=False, soft_wrap=True)


def show(
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    title: str | None = None,
    columns: Sequence[str] | None = None,
    empty: str = "nothing to show",
) -> None:
    """Print rows as a table, or as a JSON list."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        note(empty)
        return
    names = list(columns or rows[0])
    table = Table(title=title and escape(title), title_justify="left", header_style="bold")
    for name in names:
        numeric = all(isinstance(row.get(name), int | float | type(None)) for row in rows)
        table.add_column(
            name.replace("_", " "),
            justify="right" if numeric else "left",
            no_wrap=name == "id",  # it is there to be copied
        )
    for row in rows:
        # Names and reasons are anyone's, and brackets mean something in a table.
        table.add_row(*(escape(text(row.get(name))) for name in names))
    console = OUT if OUT.is_terminal else Console(width=_width())
    console.print(table)


def _width() -> int:
    """Where nobody looks: COLUMNS, or so wide that no cell wraps and each row is one line."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() and int(columns) else UNWRAPPED


def print_json(value: Any) -> None:
    """JSON on standard output; NaN becomes null."""
    typer.echo(json.dumps(_plain(value), indent=2, default=str, ensure_ascii=False))


def text(value: Any) -> str:
    """A cell: numbers short, dates ISO, nothing for a missing one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return str(value)


def number(value: float) -> str:
    """Thousands without decimals, small figures with four digits."""
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value
