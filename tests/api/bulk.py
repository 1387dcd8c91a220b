"""What tests of bulk jobs over HTTP share: files, clients with keys of their own, what is there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.main import create_app
from api.settings import ApiSettings
from ml.jobs.bulk import run_bulk
from ml.jobs.files import job_files
from ml.jobs.lease import LEASE
from ml.lifecycle.workspace import Workspace
from tests.api.conftest import KeyMaker, bearing
from tests.http_server import serving
from warehouse.database import reading, utc_now, writing
from warehouse.job_files import DRAFT, INPUT
from warehouse.repositories import job_expiry, job_leases, jobs
from warehouse.repositories.jobs import Job

ROUTE = "/api/repeat-orders/bulk"
CSV = {"Content-Type": "text/csv"}
ROWS = b"client_id,revenue_30d\nc03,5\nnobody,\n"
LINES = b'{"client_id": "c03", "revenue_30d": 5}\n{"client_id": "nobody"}\n'
FEW = ApiSettings(
    api_ip_limit="unlimited",
    api_bulk_limit=300_000,
    api_uploads=4,
    api_owner_jobs=3,
    api_owner_bytes=1_000_000,
)


@pytest.fixture
def ann(client: httpx.Client, make_key: KeyMaker, request: pytest.FixtureRequest) -> httpx.Client:
    """A client of the same server with a key of an owner who has no other job."""
    headers = bearing(make_key("write", owner=request.node.name))
    with httpx.Client(base_url=client.base_url, headers=headers, timeout=60) as found:
        yield found  # type: ignore[misc]


@pytest.fixture
def narrow(
    workspace: Workspace, make_key: KeyMaker, request: pytest.FixtureRequest
) -> Iterator[httpx.Client]:
    """The same of a server that takes little."""
    with serving(create_app(workspace, FEW)) as found:
        found.headers.update(bearing(make_key("write", owner=request.node.name)))
        yield found


def stored(workspace: Workspace, job_id: str) -> bytes:
    with job_files(workspace).local(job_id, INPUT) as path:
        return path.read_bytes()


def drafts(workspace: Workspace) -> list[Path]:
    return list(Path(workspace.settings.jobs).glob(f"{DRAFT}*"))


def left(workspace: Workspace) -> set[str]:
    """What lies in the store without a job."""
    there = job_files(workspace).jobs()
    with reading(workspace.engine) as connection:
        return set(there) - job_expiry.with_files(connection, list(there))


def owned(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/jobs").json()["items"]
    return found


def sent(client: httpx.Client, content: bytes = ROWS) -> str:
    answer = client.post(ROUTE, content=content, headers=CSV)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def found(workspace: Workspace, job_id: str) -> Job:
    with reading(workspace.engine) as connection:
        job = jobs.get(connection, job_id)
    assert job is not None
    return job


def started(workspace: Workspace, job_id: str) -> Job:
    """A job whose run has begun."""
    with writing(workspace.engine) as connection:
        job_leases.claim(connection, "bulk", utc_now(), LEASE, limit=1000)
        attempt = found(workspace, job_id).attempt or 1
        return job_leases.start(connection, job_id, attempt, "run-9", utc_now(), LEASE)


def run(workspace: Workspace, job_id: str) -> Job:
    """Do the work of a job, as its Dagster run does."""
    with writing(workspace.engine) as connection:
        for job in job_leases.claim(connection, "bulk", utc_now(), LEASE, limit=1000):
            if job.id == job_id:
                claimed = job
    return run_bulk(workspace, claimed.id, claimed.attempt, "run-9")


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hundred() -> Iterator[bytes]:
    for _ in range(100):
        yield b"c03,5\n" * 1_000


def begun(client: httpx.Client, length: int = 1_000_000) -> socket.socket:
    """A request whose body has not come yet."""
    line = socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30)
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: test\r\nContent-Type: text/csv\r\n"
        f"Authorization: {client.headers['authorization']}\r\nContent-Length: {length}\r\n\r\n"
    )
    line.sendall(head.encode())
    return line
