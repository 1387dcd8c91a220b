"""All seven models of a small sample firm, each with a champion, behind real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest

from api.main import create_app
from ml.lifecycle.scoring import score
from ml.lifecycle.training import train
from ml.lifecycle.workspace import Workspace
from ml.models import default_registry
from ml.settings import MlSettings
from ml.webhooks.settings import WebhookSettings
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.http_server import serving
from tests.small_firm import morning_after
from warehouse.database import writing
from warehouse.repositories import models
from warehouse.settings import WarehouseSettings

DAY = date(2026, 6, 30)


@pytest.fixture(scope="session")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One scored day of every model; promoted by hand, since so small a firm passes few gates."""
    settings = WarehouseSettings(
        home=tmp_path_factory.mktemp("seven"), source=f"sample:clients=60,seed=11,end={DAY}"
    )
    ml = MlSettings(training_months=6, reasons="all")
    workspace = Workspace.open(settings, ml, clock=morning_after(DAY))
    workspace.ingest("ingest")
    for spec in default_registry().values():
        trained = train(workspace, spec, "train")
        with writing(workspace.engine) as connection:
            models.promote(connection, spec.name, trained.version, "for the tests", "test")
        score(workspace, spec, [DAY], "score")
    yield workspace
    workspace.engine.dispose()


@pytest.fixture(scope="session")
def client(seven: Workspace) -> Iterator[httpx.Client]:
    """A client with an admin's key."""
    inside = WebhookSettings(webhook_allowed_networks=["127.0.0.0/8"])
    with serving(create_app(seven, UNLIMITED, inside)) as client:
        client.headers.update(bearing(key_maker(seven)()))
        yield client


@pytest.fixture(scope="session")
def document(client: httpx.Client) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found
