"""Keys as the admin endpoints take and show them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from warehouse.repositories.keys import STANDARD_TIER, Role

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _utc(value: datetime.datetime) -> datetime.datetime:
    try:
        return value.astimezone(datetime.UTC)
    except OverflowError:
        raise ValueError("this instant lies outside the years 1 to 9999 in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]


class KeyRequest(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    owner: Name = Field(description="Whose it is: what keys of one owner make belongs to it.")
    name: Name = Field("key", description="What it is for.")
    role: Role = Field(description="`read`, `write` (also decisions) or `admin` (also keys).")
    tier: Name = Field(STANDARD_TIER, description="Which rate limit it has, by the settings' name.")
    expires_at: Instant | None = Field(None, description="When it stops working.")


class RotateRequest(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid")

    grace_hours: float = Field(
        24.0, ge=0, le=24 * 365, description="How long the old key goes on working."
    )


class Key(BaseModel):
    """A key without its secret."""

    id: str
    owner: str
    name: str
    role: Role
    tier: str
    created_at: datetime.datetime
    created_by: str
    expires_at: datetime.datetime | None
    revoked_at: datetime.datetime | None
    last_used_at: datetime.datetime | None
    rotated_from: str | None


class NewKey(Key):
    """A key with its secret, shown this once."""

    key: str = Field(description="`svf_…`: keep it now, it is stored nowhere.")


class Keys(BaseModel):
    """Keys, newest first."""

    items: list[Key]
    next_cursor: str | None


class Audited(BaseModel):
    """One change, and who made it."""

    id: str
    at: datetime.datetime
    actor: str
    key_id: str | None
    action: str
    subject: str
    details: dict[str, Any]
    request_id: str | None


class Audit(BaseModel):
    """Changes, newest first."""

    items: list[Audited]
    next_cursor: str | None
