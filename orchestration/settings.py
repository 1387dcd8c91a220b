"""Settings of the services: ports, and where Dagster keeps its own records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from ml.models.spec import load
from warehouse.settings import WarehouseSettings, mask_url


class OrchestrationSettings(BaseSettings):
    """Read from ``SEVENFOLD_…``."""

    model_config = SettingsConfigDict(
        env_prefix="SEVENFOLD_", extra="ignore", env_ignore_empty=True
    )

    api_host: str = Field(
        "127.0.0.1", description="Address that the API listens on; `0.0.0.0` for every one."
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI.")
    dagster_storage_url: str | None = Field(
        None,
        description="PostgreSQL URL of Dagster's runs, events and schedules; default: SQLite files"
        " in the home, which serve one machine.",
    )


SETTINGS = {
    "Data at rest": "warehouse.settings:WarehouseSettings",
    "Models": "ml.settings:MlSettings",
    "Services": "orchestration.settings:OrchestrationSettings",
    "API": "api.settings:ApiSettings",
    "Webhooks": "ml.webhooks.settings:WebhookSettings",
}
"""The settings of each layer, by title. They are named and loaded when asked for: nothing here may
depend on the API, but somebody who asks for the settings means all of them."""


def settings_classes() -> dict[str, type[BaseSettings]]:
    """Each class of settings by its title."""
    return {title: load(path) for title, path in SETTINGS.items()}


def every_setting() -> Iterator[tuple[str, Any, FieldInfo]]:
    """Environment name, present value (secrets masked) and declaration of each setting."""
    for kind in settings_classes().values():
        present = kind()
        values = present.model_dump(mode="json")
        if isinstance(present, WarehouseSettings):
            values = present.masked()
        for name, field in kind.model_fields.items():
            value = values[name]
            shown = mask_url(value) if name.endswith("_url") and value else value
            yield f"SEVENFOLD_{name.upper()}", shown, field
