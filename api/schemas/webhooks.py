"""Webhooks and their deliveries as the endpoints take and show them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ml.webhooks.targets import LONGEST
from warehouse.events import EVENTS, TEST
from warehouse.repositories.deliveries import State

EventName = Annotated[str, Field(json_schema_extra={"enum": list(EVENTS)})]


class WebhookRequest(BaseModel):
    """A webhook to make."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="Where to POST, with `https://`; addresses inside the firm's network are"
        " refused unless settings allow them.",
    )
    events: list[EventName] = Field(
        min_length=1, max_length=len(EVENTS), description="What to be told of."
    )


class RotateSecretRequest(BaseModel):
    """How a webhook's secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    grace_hours: float = Field(
        24.0, ge=0, le=24 * 30, description="How long deliveries carry the old signature too."
    )


class Empty(BaseModel):
    """A body without fields, which may be left out."""

    model_config = ConfigDict(extra="forbid")


class Webhook(BaseModel):
    """A webhook without its secret."""

    id: str
    url: str
    events: list[EventName]
    created_at: datetime.datetime
    created_by: str
    old_secret_until: datetime.datetime | None = Field(
        description="Until then deliveries are signed with the former secret too."
    )
    failing_since: datetime.datetime | None = Field(
        description="The first failed attempt since a delivery was taken."
    )
    disabled_at: datetime.datetime | None
    disabled_why: str | None


class NewWebhook(Webhook):
    """A webhook with its secret, shown this once."""

    secret: str = Field(description="`whsec_…`, to verify deliveries with: keep it now.")


class Webhooks(BaseModel):
    """The caller's webhooks, newest first."""

    items: list[Webhook]
    next_cursor: str | None


class Attempt(BaseModel):
    """One try to deliver."""

    at: datetime.datetime
    status: int | None = Field(description="What the receiver answered; null where it did not.")
    milliseconds: int
    error: str | None = Field(description="Why it failed; null where it did not.")


class Delivery(BaseModel):
    """An event on its way to a webhook."""

    id: str = Field(description="The `webhook-id` header, the same on each attempt and replay.")
    event: Annotated[str, Field(json_schema_extra={"enum": [*EVENTS, TEST]})]
    state: State
    created_at: datetime.datetime
    delivered_at: datetime.datetime | None
    next_attempt_at: datetime.datetime | None
    attempts: list[Attempt] = Field(description="Oldest first; the last 50.")
    payload: dict[str, Any] = Field(description="What is sent.")


class Deliveries(BaseModel):
    """Deliveries of a webhook, newest first."""

    items: list[Delivery]
    next_cursor: str | None
