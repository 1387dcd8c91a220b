"""Response schemas made from each model's Decision."""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from ml.models import ModelSpec

MOST_ITEMS = 1000


class BadField(BaseModel):
    """One field of a request that is not as expected."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body, or the parameter.")
    detail: str


class ProblemBody(BaseModel):
    """An error (RFC 9457); docs/errors.md lists the codes."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    errors: list[BadField] | None = None


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


class ClientDecisions(BaseModel):
    """What every model says about one client."""

    client_id: str
    models: dict[str, list[dict[str, Any]]] = Field(
        description="Stored decisions by model, in the form of its `latest` rows."
    )
    silent: dict[str, str] = Field(description="Why a model says nothing, by model.")


def answer_schema(spec: ModelSpec) -> type[BaseModel]:
    """The answer to an on-demand query."""
    return create_model(
        f"{_short(spec)}Answer",
        model=(str, ...),
        model_version=(str, ...),
        as_of=(datetime.date, ...),
        data_version=(str, ...),
        inputs=(Inputs, ...),
        decisions=(list[spec.Decision], ...),  # type: ignore[name-defined]
        detail=(dict[str, Any] | None, None),
    )


def batch_schema(spec: ModelSpec) -> type[BaseModel]:
    """What a batch asks: up to ``MOST_ITEMS`` queries, each judged on its own."""
    return create_model(
        f"{_short(spec)}Batch",
        __config__=ConfigDict(extra="forbid"),
        items=(
            list[spec.Query],  # type: ignore[name-defined]
            Field(min_length=1, max_length=MOST_ITEMS),
        ),
    )


def batch_answer_schema(spec: ModelSpec, answer: type[BaseModel]) -> type[BaseModel]:
    """One result or error for each query of a batch, in order."""
    result: Any = answer | None
    item: Any = create_model(
        f"{_short(spec)}BatchItem", result=(result, None), error=(ProblemBody | None, None)
    )
    return create_model(f"{_short(spec)}BatchAnswer", items=(list[item], ...))


def page_schema(spec: ModelSpec) -> type[BaseModel]:
    """A page of stored decisions.

    Their fields have the types of the Decision, and none of its bounds: what is stored is shown.
    """
    name = _short(spec)
    fields: dict[str, Any] = {
        field: (
            info.annotation,
            Field(
                ... if info.is_required() else None,
                description=info.description,
                json_schema_extra=info.json_schema_extra,
            ),
        )
        for field, info in spec.Decision.model_fields.items()
    }
    row = create_model(f"Stored{name}", __base__=Stored, **fields)
    return create_model(f"{name}Page", items=(list[row], ...), next_cursor=(str | None, None))


def _short(spec: ModelSpec) -> str:
    return spec.Decision.__name__.removesuffix("Decision")
