"""Pieces that several models' decisions and queries share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StrictBool,
    model_validator,
)
from pydantic_core import CoreSchema

from ml.models.spec import Query

LARGEST = 1e12
"""Beyond it a number is a mistake, and sums and products of such would no longer be exact."""

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Field(ge=0, le=LARGEST)]
Moment = Annotated[
    str, Field(min_length=8, max_length=40, description="ISO 8601 date or local time.")
]
LONGEST_TEXT, LONGEST_ID, MOST_FEATURES = 1000, 200, 500
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


def _one_error(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """A union that says once what it takes, at the place of the value.

    Else each alternative would say why it is not this one, at a place named after itself.
    """
    schema: Any = handler(source)
    union = schema["schema"] if schema["type"] == "nullable" else schema
    union["custom_error_type"] = "scalar"
    union["custom_error_message"] = (
        f"Input should be a number from {-LARGEST:,.0f} to {LARGEST:,.0f}, a text of at most 1,000"
        " characters, true, false or null"
    )
    return schema


Scalar = Annotated[
    Number | Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | StrictBool | Text | None,
    GetPydanticSchema(_one_error),
]
Identifier = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]


def examples(*queries: dict[str, Any]) -> ConfigDict:
    """Queries that the sample firm answers, for the documentation; a test asks each of them."""
    return ConfigDict(json_schema_extra={"examples": list(queries)})


class Part(BaseModel):
    """Base of nested parts: frozen, unknown fields refused, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Reason(Part):
    """Why: one input, its value, and how far it moved the decision."""

    feature: str
    value: StrictBool | int | float | str | None = None
    contribution: float = Field(
        description="In the model's own unit: log-odds for a probability, money for a margin."
    )


class Observation(Part):
    """One dated value of a series."""

    observed_at: Moment
    value: Number


class ClientQuery(Query):
    """A client the firm knows, or features, or both (the given ones override: a what-if)."""

    model_config = examples(
        {"client_id": "C0000001"},
        {"client_id": "C0000001", "features": {"days_since_purchase": 75, "revenue_30d": 0}},
        {"features": {"revenue_90d": 12000.0, "days_since_purchase": 9, "segment": "mid"}},
    )

    client_id: Identifier | None = None
    features: dict[str, Scalar] | None = Field(
        None,
        max_length=MOST_FEATURES,
        description="Feature values by name; those not given are stored or missing.",
    )

    @model_validator(mode="after")
    def _something_given(self) -> ClientQuery:
        if self.client_id is None and not self.features:
            raise ValueError("give client_id, features, or both")
        return self
