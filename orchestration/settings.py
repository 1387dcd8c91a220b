"""Settings of the services: ports, and where Dagster keeps its own records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from ml.settings import MlSettings
from warehouse.settings import WarehouseSettings, mask_url


class OrchestrationSettings(BaseSettings):
    """Read from ``SEVENFOLD_…``."""

    model_config = SettingsConfigDict(
        env_prefix="SEVENFOLD_", extra="ignore", env_ignore_empty=True
    )

    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI.")
    dagster_storage_url: str | None = Field(
        None,
        description="PostgreSQL URL of Dagster's runs, events and schedules; default: SQLite files"
        " in the home, which serve one machine.",
    )


def every_setting() -> Iterator[tuple[str, Any, FieldInfo]]:
    """Environment name, present value (secrets masked) and declaration of each setting."""
    warehouse, ml, services = WarehouseSettings(), MlSettings(), OrchestrationSettings()
    values = warehouse.masked() | ml.model_dump(mode="json") | services.model_dump(mode="json")
    if services.dagster_storage_url:
        values["dagster_storage_url"] = mask_url(services.dagster_storage_url)
    for kind in (WarehouseSettings, MlSettings, OrchestrationSettings):
        for name, field in kind.model_fields.items():
            yield f"SEVENFOLD_{name.upper()}", values[name], field
