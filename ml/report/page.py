"""Gathers what the page shows and fills the template."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ml.lifecycle.summary import model_summary
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.report.charts import picture_chart, value_chart
from warehouse.database import reading
from warehouse.repositories.score_pages import Sort, read_page
from warehouse.repositories.scores import between, newest_day

HIDDEN = ("reasons", "evidence")
TODAY = 5


def write_report(workspace: Workspace, specs: Sequence[ModelSpec]) -> Path:
    """Write ``report.html`` into the home and return its path."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(money=_money, cell=_cell, words=_words)
    template = environment.from_string((files(__package__) / "page.html.jinja").read_text())
    parts = [_part(workspace, spec) for spec in specs]
    valued = [
        {"title": part["title"], "ours": part["value"], "naive": part["value_baseline"]}
        for part in parts
        if part["value"] is not None
    ]
    page = template.render(
        parts=parts,
        values=value_chart(valued) if valued else None,
        currency=workspace.settings.currency,
        as_of=max((part["scored_as_of"] for part in parts if part["scored_as_of"]), default=None),
        source=workspace.data_version().source,
    )
    target = workspace.settings.home / "report.html"
    target.write_text(page, encoding="utf-8")
    return target


def _part(workspace: Workspace, spec: ModelSpec) -> dict[str, Any]:
    """One model's section: its summary, what to do today, and a picture."""
    part = model_summary(workspace, spec)
    part |= {"today": [], "columns": [], "picture": None, "worth": spec.value, "row": spec.row}
    with reading(workspace.engine) as connection:
        day = newest_day(connection, spec.name)
        if day is None or not part["available"]:
            return part
        order = [Sort(name.lstrip("-"), name.startswith("-")) for name in spec.act_first]
        page = read_page(connection, spec, sort=order, limit=TODAY)
        stored = between(connection, spec, day.as_of, day.as_of)
    frame: pd.DataFrame = stored.to_pandas()
    part["columns"] = [name for name in spec.Decision.model_fields if name not in HIDDEN]
    part["today"] = page.rows if page else []
    part["picture"] = picture_chart(spec.picture, frame)
    return part


def _money(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
