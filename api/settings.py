"""Settings of the API: limits, sizes, who may call from where, and how it logs."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.windows import Rate

Network = IPv4Network | IPv6Network
UNLIMITED = "unlimited"


def _listed(value: object) -> object:
    """Environment variables hold lists as text with commas."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _pairs(value: object) -> object:
    """``name=value`` pairs with commas, as a mapping."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    if wrong := [name for name, equals, _ in parts if not equals]:
        raise ValueError(f"expected name=limit pairs such as standard=600/minute, got {wrong[0]!r}")
    return {name.strip(): limit.strip() for name, _, limit in parts}


class ApiSettings(BaseSettings):
    """Read from ``SEVENFOLD_…``."""

    model_config = SettingsConfigDict(
        env_prefix="SEVENFOLD_", extra="ignore", env_ignore_empty=True
    )

    api_tiers: Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)] = Field(
        default={"standard": "600/minute", "high": "6000/minute", UNLIMITED: UNLIMITED},
        description="Requests of a key by its tier, as `name=limit` pairs with commas; a limit is"
        " `600/minute`, `10/second`, … or `unlimited`.",
    )
    api_ip_limit: str = Field(
        default="60/minute",
        description="Requests without a valid key, for each client address.",
    )
    api_limits_url: str = Field(
        default="memory",
        description="Where limits are counted: `memory` for one instance, a `redis://` URL for"
        " several.",
    )
    api_trusted_proxies: Annotated[list[str], NoDecode, BeforeValidator(_listed)] = Field(
        default=[],
        description="Networks of proxies whose `X-Forwarded-For` is believed, with commas.",
    )
    api_cors_origins: Annotated[list[str], NoDecode, BeforeValidator(_listed)] = Field(
        default=[], description="Origins whose pages may call the API, with commas; default: none."
    )
    api_docs: bool = Field(
        default=True, description="Whether `/docs` and `/openapi.json` are served."
    )
    api_body_limit: int = Field(
        default=1_048_576, ge=1_024, description="Largest request body, in bytes."
    )
    api_batch_limit: int = Field(
        default=8_388_608, ge=1_024, description="Largest body of a batch, in bytes."
    )
    api_bulk_limit: int = Field(
        default=1_073_741_824, ge=1_024, description="Largest upload of a bulk job, in bytes."
    )
    api_uploads: int = Field(
        default=128,
        ge=1,
        description="Bulk uploads received at once, half of them at most of one owner; more are"
        " told to come back.",
    )
    api_downloads: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Results of bulk jobs sent at once, each by a process of its own, half of them"
        " at most to one owner; more wait a few seconds for their turn.",
    )
    api_owner_jobs: int = Field(
        default=20, ge=0, description="Bulk jobs that one owner may have under way."
    )
    api_owner_bytes: int = Field(
        default=10_737_418_240,
        ge=0,
        description="Bytes of bulk files that are kept for one owner until they expire.",
    )
    api_concurrency: int = Field(
        default=256, ge=1, description="Requests answered at once; more are told to come back."
    )
    api_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that answer what has to be fitted on request (a forecast, a split).",
    )
    api_worker_seconds: float = Field(
        default=30.0, gt=0, description="Seconds after which such an answer is given up."
    )
    api_log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="Form of log lines; `auto`: readable in development, JSON elsewhere.",
    )

    @field_validator("api_tiers")
    @classmethod
    def _known_limits(cls, tiers: dict[str, str]) -> dict[str, str]:
        if "standard" not in tiers:
            raise ValueError("there must be a tier `standard`: keys have it unless told otherwise")
        for name, limit in tiers.items():
            _limit(limit, f"tier {name}")
        return tiers

    @field_validator("api_ip_limit")
    @classmethod
    def _known_limit(cls, limit: str) -> str:
        return _limit(limit, "calls without a key")

    @field_validator("api_limits_url")
    @classmethod
    def _known_storage(cls, url: str) -> str:
        if url == "memory" or url.startswith(("redis://", "rediss://", "redis+unix://")):
            return url
        raise ValueError("expected `memory` or a redis:// URL")

    @field_validator("api_trusted_proxies")
    @classmethod
    def _networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            ip_network(proxy)
        return proxies

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The trusted networks."""
        return tuple(ip_network(proxy) for proxy in self.api_trusted_proxies)

    def logs_json(self, env: str) -> bool:
        """Whether log lines are JSON, in this environment."""
        if self.api_log_format == "auto":
            return env != "development"
        return self.api_log_format == "json"


def _limit(text: str, what: str) -> str:
    """The limit if it can be read, else ValueError."""
    if text != UNLIMITED:
        try:
            Rate.parse(text)
        except ValueError:
            raise ValueError(
                f"{what}: expected a limit such as 600/minute or unlimited, got {text!r}"
            ) from None
    return text
