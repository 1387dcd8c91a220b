"""The columns of a table of outcomes: where each row of a file stands, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ml.models import ModelSpec
from warehouse.scored import scored_table
from warehouse.types import Kind, kind_of

Outcome = Literal["ok", "error"]
BESIDE: Mapping[str, Kind] = {
    "line": "bigint",
    "outcome": "text",
    "code": "text",
    "detail": "text",
    "model_version": "text",
    "as_of": "date",
    "data_version": "text",
    "inputs": "json",
    "decision_detail": "json",
}


def outcome_columns(spec: ModelSpec) -> dict[str, Kind]:
    """Each column's kind: the row's own, then those of the model's decision."""
    table = scored_table(spec)
    return {**BESIDE, **{name: kind_of(table.c[name].type) for name in spec.Decision.model_fields}}
