"""Settings of callbacks: what they may reach, how long they wait, how long they are remembered."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ml.webhooks.addresses import Network


def _listed(value: object) -> object:
    """Environment variables hold lists as text with commas."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


class WebhookSettings(BaseSettings):
    """Read from ``SEVENFOLD_…``."""

    model_config = SettingsConfigDict(
        env_prefix="SEVENFOLD_", extra="ignore", env_ignore_empty=True
    )

    webhook_allowed_networks: Annotated[list[str], NoDecode, BeforeValidator(_listed)] = Field(
        default=[],
        description="Networks inside the firm that webhooks may reach, with commas, such as"
        " `10.1.0.0/16`; default: none, only the internet.",
    )
    webhook_seconds: float = Field(
        default=15.0,
        gt=0,
        le=60,
        description="Seconds after which a receiver that has not answered counts as failed.",
    )
    webhook_keep_days: int = Field(
        default=30, ge=4, description="Days that deliveries are kept, to be looked at and replayed."
    )

    @field_validator("webhook_allowed_networks")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ip_network(network)
        return networks

    @property
    def allowed(self) -> tuple[Network, ...]:
        """The networks inside that may be reached."""
        return tuple(ip_network(network) for network in self.webhook_allowed_networks)
