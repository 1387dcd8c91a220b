"""Response schemas made from each model's Decision."""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from ml.models import ModelSpec


class Inputs(BaseModel):
    """Which inputs of an on-demand decision came from where."""

    stored: list[str]
    given: list[str]
    missing: list[str] = Field(description="Neither stored nor given; treated as unknown.")
    unseen: list[str] = Field(description="Categories that the model never saw.")


class Stored(BaseModel):
    """What every stored decision carries beside the model's own columns."""

    model_config = ConfigDict(extra="ignore")

    as_of: datetime.date
    model_version: str
    data_version: str
    run_id: str
    origin: str
    scored_at: datetime.datetime


def answer_schema(spec: ModelSpec) -> type[BaseModel]:
    """The answer to an on-demand query."""
    return create_model(
        f"{spec.Decision.__name__.removesuffix('Decision')}Answer",
        model=(str, ...),
        model_version=(str, ...),
        as_of=(datetime.date, ...),
        data_version=(str, ...),
        inputs=(Inputs, ...),
        decisions=(list[spec.Decision], ...),  # type: ignore[name-defined]
        detail=(dict[str, Any] | None, None),
    )


def page_schema(spec: ModelSpec) -> type[BaseModel]:
    """A page of stored decisions."""
    name = spec.Decision.__name__.removesuffix("Decision")
    fields: dict[str, Any] = {
        field: (info.annotation, None if not info.is_required() else ...)
        for field, info in spec.Decision.model_fields.items()
    }
    row = create_model(f"Stored{name}", __base__=Stored, **fields)
    return create_model(f"{name}Page", items=(list[row], ...), next_cursor=(str | None, None))
