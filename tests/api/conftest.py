"""The small firm's decisions over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from api.main import create_app
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.models import Registry, default_registry
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Two scored days of the eighth model; the seven have no champion."""
    life = Life(Firm(tmp_path_factory.mktemp("api")))
    opened = life.ingested(registry=Registry([*default_registry().values(), EIGHTH]))
    train(opened, EIGHTH, "run-1")
    promote_if_passed(opened, EIGHTH, "me")
    score(opened, EIGHTH, [LAST - timedelta(days=1), LAST], "run-2")
    yield opened
    life.close()


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[httpx.Client]:
    """A client of a server that runs."""
    with serving(create_app(workspace)) as client:
        yield client
