"""A home with its daemon and its API as processes of their own, which tests may kill."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.jobs.files import job_files
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from orchestration.resources import prepare_dagster_home
from tests.api.conftest import bearing, key_maker
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST
from warehouse.database import reading
from warehouse.repositories import jobs
from warehouse.repositories.jobs import Job

ROOT = Path(__file__).resolve().parents[2]
ROWS = 400


class Site:
    """A home with its daemon and its APIs, all started again when they were killed."""

    def __init__(
        self, workspace: Workspace, folder: Path, apis: Sequence[str] = ("api",), **env: str
    ) -> None:
        """``env`` is that of every process beside ``FIRM``."""
        self.workspace, self.folder = workspace, folder
        self.env = {**os.environ, "FIRM": str(folder), "PYTHONPATH": str(ROOT), **env}
        self.key = key_maker(workspace)()
        self.ports = {name: _free_port() for name in apis}
        where = folder / "workspace.yaml"
        where.write_text("load_from:\n  - python_module: tests.orchestration.chaos_location\n")
        binaries = Path(sys.executable).parent
        self.commands = {
            "daemon": [str(binaries / "dagster-daemon"), "run", "-w", str(where)],
            **{
                name: [sys.executable, "-m", "tests.orchestration.firm_api", str(port)]
                for name, port in self.ports.items()
            },
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, **env: str) -> None:
        """Start what does not run, of these or of all."""
        for name, command in self.commands.items():
            if names and name not in names:
                continue
            if name not in self.processes or self.processes[name].poll() is not None:
                self.processes[name] = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**self.env, **env},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

    def kill(self, victim: str) -> bool:
        """SIGKILL the daemon, the API, or the runs that are at work; whether there was one."""
        if victim == "run":
            runs = self._runs()
            for one in runs:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            return bool(runs)
        process = self.processes[victim]
        process.kill()
        process.wait()
        return True

    def stop(self, *names: str) -> None:
        """Kill these or all, with all processes that they started."""
        for name, process in self.processes.items():
            if names and name not in names:
                continue
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            process.wait()

    def call(self, method: str, path: str, api: str = "api", **options: Any) -> httpx.Response:
        """Call an API until it answers: whoever is killed meanwhile, a call is made once."""
        headers = {**bearing(self.key), **options.pop("headers", {})}
        deadline = time.monotonic() + 60
        while True:
            try:
                url = f"http://127.0.0.1:{self.ports[api]}{path}"
                answer = httpx.request(method, url, headers=headers, timeout=20, **options)
                if answer.status_code != 503 and "idempotency_conflict" not in answer.text:
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            self.start(api)
            time.sleep(0.2)

    def running(self) -> set[str]:
        """The kinds of the jobs that are at work."""
        return {one.kind for one in self.all_jobs() if one.state == "running"}

    def all_jobs(self) -> list[Job]:
        with reading(self.workspace.engine) as connection:
            return jobs.page(connection, 1000)

    def _runs(self) -> list[psutil.Process]:
        """The processes that this home's code servers started, one for each run."""
        found = []
        for one in psutil.process_iter(["cmdline"]):
            words = one.info["cmdline"] or []
            if "grpc" in words and any("chaos_location" in word for word in words):
                with suppress(psutil.Error):
                    ours = one.environ().get("FIRM") == str(self.folder)
                    children = one.children() if ours else []
                    found += [it for it in children if "spawn_main" in " ".join(it.cmdline())]
        return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture
def site(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """On SQLite, its API started."""
    workspace = prepared(life, monkeypatch)
    made = Site(workspace, tmp_path, SEVENFOLD_SCHEDULE_MIN_MINUTES="1")
    made.start("api")
    yield made
    made.stop()


def prepared(life: Life, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A scored day, and Dagster's folder, where runs that do not start are soon given up."""
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    score(workspace, EIGHTH, [LAST], "run-2")
    monkeypatch.setenv("SEVENFOLD_HOME", str(workspace.settings.home))
    monkeypatch.setenv("SEVENFOLD_SOURCE", workspace.settings.source)
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings = prepare_dagster_home(workspace.settings) / "dagster.yaml"
    settings.write_text(
        settings.read_text()
        .replace("start_timeout_seconds: 120", "start_timeout_seconds: 20")
        .replace("poll_interval_seconds: 30", "poll_interval_seconds: 5")
    )
    return workspace


def until(holds: Callable[[], bool], seconds: float, keep: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        keep()
        time.sleep(0.1)


def file_of(rows: int) -> bytes:
    """A CSV, a fiftieth of whose rows are no questions."""
    each = "".join(f",{row}.5\n" if row % 50 else ",many\n" for row in range(rows))
    return f"client_id,revenue_30d\n{each}".encode()


def send_file(site: Site, number: int) -> str:
    answer = site.call(
        "POST",
        "/api/repeat-orders/bulk?format=csv",
        content=file_of(ROWS),
        headers={"Idempotency-Key": f"file-{number}"},
    )
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def outcomes(site: Site, job: Job) -> pa.Table:
    files = job_files(site.workspace)
    with reading(site.workspace.engine) as connection:
        parts = [chunk.part for chunk in jobs.chunks(connection, job.id)]
    tables = []
    for part in parts:
        with files.local(job.id, part) as path:
            tables.append(pq.read_table(path))
    return pa.concat_tables(tables)
