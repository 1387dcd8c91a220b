"""Pieces that several models' decisions and queries share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from ml.models.spec import Query

Scalar = StrictBool | int | float | str | None
Identifier = Annotated[str, Field(min_length=1, max_length=200)]


class Part(BaseModel):
    """Base of nested parts: frozen, unknown fields refused, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Reason(Part):
    """Why: one input, its value, and how far it moved the decision."""

    feature: str
    value: Scalar = None
    contribution: float = Field(
        description="In the model's own unit: log-odds for a probability, money for a margin."
    )


class Observation(Part):
    """One dated value of a series."""

    observed_at: str = Field(description="ISO 8601 date or local time.", min_length=8)
    value: float


class ClientQuery(Query):
    """A client the firm knows, or features, or both (the given ones override: a what-if)."""

    client_id: Identifier | None = None
    features: dict[str, Scalar] | None = Field(
        None, description="Feature values by name; those not given are stored or missing."
    )

    @model_validator(mode="after")
    def _something_given(self) -> ClientQuery:
        if self.client_id is None and not self.features:
            raise ValueError("give client_id, features, or both")
        return self
