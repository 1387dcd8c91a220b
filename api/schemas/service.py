"""What the service says of itself, its models and their versions."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Metrics = dict[str, float | None]


class Root(BaseModel):
    """The service and its endpoints."""

    service: str
    version: str
    documentation: str | None
    endpoints: list[str]


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Health(BaseModel):
    """Whether each part is well."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`degraded`: something is wrong, and what is loaded goes on answering."
    )
    warehouse: Literal["ok", "unreachable"]
    models: dict[str, str] = Field(
        description="`ok`, `no_champion`, or the code of what is wrong with the newest champion."
    )
    serving: dict[str, str | None] = Field(description="The version that answers, by model.")


class Model(BaseModel):
    """One model: its champion, metrics beside the naive baseline's, freshness, availability."""

    model_config = ConfigDict(protected_namespaces=())

    model: str
    route: str
    title: str
    question: str
    decides: str
    status: str
    available: bool
    reason: str | None
    champion: str | None
    known_through: datetime.date | None
    waiting: str | None = Field(
        description="The newest version, where it passed its gate and waits for approval."
    )
    metric: str
    metrics: Metrics | None
    baseline_metrics: Metrics | None
    baseline: str
    scored_as_of: datetime.date | None
    rows_scored: int | None
    drift: str | None
    value: float | None
    value_low: float | None
    value_high: float | None
    value_baseline: float | None
    value_as_of: datetime.date | None
    value_from: datetime.date | None
    value_to: datetime.date | None
    value_basis: str | None
    value_reason: str | None
    value_assumptions: dict[str, Any] | None
    currency: str


class Models(BaseModel):
    """All models."""

    items: list[Model]
    next_cursor: str | None = None


class VersionInfo(BaseModel):
    """A version: how it did, what it reads, what it learned from."""

    model_config = ConfigDict(protected_namespaces=())

    model: str
    version: str
    serves: bool = Field(description="Whether it is the version that answers now.")
    status: str = Field(description="`candidate` where it passed its gate, else `rejected`.")
    trained_at: datetime.datetime
    trained_as_of: datetime.date
    known_through: datetime.date = Field(description="The last day any label of it used.")
    data_version: str
    estimator: str
    metrics: Metrics
    baseline_metrics: Metrics
    champion_metrics: Metrics | None = Field(description="Of the champion of then, on its data.")
    gate: dict[str, Any]
    features: list[str] | None = Field(
        description="What it reads, by name; null where its files are damaged."
    )
    feature_schema_hash: str
    card: str | None = Field(description="The model card, in Markdown; null likewise.")


class VersionHealth(BaseModel):
    """Whether a version's files are those that were written, load, and answer a probe."""

    model_config = ConfigDict(protected_namespaces=())

    model: str
    version: str
    status: Literal["ok", "failed"]
    intact: bool
    loads: bool
    answers: bool
    detail: str | None = Field(None, description="What failed, in a sentence.")
