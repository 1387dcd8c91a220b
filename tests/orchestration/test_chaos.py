"""Runs, Dagster's daemon and the API are killed twenty times: nothing is lost or done twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise, takewhile
from pathlib import Path
from random import Random
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
from warehouse.cron import firings
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs, models, schedules, scores
from warehouse.repositories.jobs import FINAL, Job

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
ROWS = 400
EVERY_MINUTE = "* * * * *"


class Site:
    """A home with its daemon and its API, both started again when they were killed."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder
        self.key = key_maker(workspace)()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        where = folder / "workspace.yaml"
        where.write_text("load_from:\n  - python_module: tests.orchestration.chaos_location\n")
        binaries = Path(sys.executable).parent
        self.commands = {
            "daemon": [str(binaries / "dagster-daemon"), "run", "-w", str(where)],
            "api": [sys.executable, "-m", "tests.orchestration.firm_api", str(self.port)],
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start what does not run, of these or of all."""
        for name, command in self.commands.items():
            if names and name not in names:
                continue
            if name not in self.processes or self.processes[name].poll() is not None:
                self.processes[name] = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, "FIRM": str(self.folder), "PYTHONPATH": str(ROOT)},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

    def kill(self, victim: str) -> bool:
        """SIGKILL the daemon, the API, or a run that is at work; whether there was one."""
        if victim == "run":
            for one in self._runs():
                with suppress(psutil.NoSuchProcess):
                    one.kill()
                    return True
            return False
        process = self.processes[victim]
        process.kill()
        process.wait()
        return True

    def stop(self) -> None:
        for process in self.processes.values():
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            process.wait()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the API until it answers: whoever is killed meanwhile, a call is made once."""
        headers = {**bearing(self.key), **options.pop("headers", {})}
        deadline = time.monotonic() + 60
        while True:
            try:
                url = f"http://127.0.0.1:{self.port}{path}"
                answer = httpx.request(method, url, headers=headers, timeout=20, **options)
                if answer.status_code != 503 and "idempotency_conflict" not in answer.text:
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            self.start("api")
            time.sleep(0.2)

    def all_jobs(self) -> list[Job]:
        with reading(self.workspace.engine) as connection:
            return jobs.page(connection, 1000)

    def _runs(self) -> list[psutil.Process]:
        """The processes that Dagster's code servers started, one for each run."""
        found = []
        for one in psutil.process_iter(["cmdline"]):
            words = one.info["cmdline"] or []
            if "grpc" in words and any("chaos_location" in word for word in words):
                with suppress(psutil.NoSuchProcess):
                    children = one.children()
                    found += [it for it in children if "spawn_main" in " ".join(it.cmdline())]
        return found


@pytest.fixture
def site(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
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
    made = Site(workspace, tmp_path)
    made.start("api")
    yield made
    made.stop()


def until(holds: Callable[[], bool], seconds: float, keep: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        keep()
        time.sleep(0.1)


def send_file(site: Site, number: int) -> str:
    rows = "".join(f",{row}.5\n" if row % 50 else ",many\n" for row in range(ROWS))
    answer = site.call(
        "POST",
        "/api/repeat-orders/bulk?format=csv",
        content=f"client_id,revenue_30d\n{rows}".encode(),
        headers={"Idempotency-Key": f"file-{number}"},
    )
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def ask_training(site: Site, number: int) -> None:
    body = {"model": "repeat-orders", "reason": f"number {number}"}
    answer = site.call(
        "POST", "/api/admin/retrain", json=body, headers={"Idempotency-Key": f"train-{number}"}
    )
    assert answer.status_code == 202 or "training_under_way" in answer.text


def outcomes(site: Site, job: Job) -> pa.Table:
    files = job_files(site.workspace)
    with reading(site.workspace.engine) as connection:
        parts = [chunk.part for chunk in jobs.chunks(connection, job.id)]
    tables = []
    for part in parts:
        with files.local(job.id, part) as path:
            tables.append(pq.read_table(path))
    return pa.concat_tables(tables)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whatever_is_killed_every_job_ends_and_nothing_is_lost_doubled_or_half_done(
    site: Site,
) -> None:
    random = Random(20)
    began = utc_now()
    with writing(site.workspace.engine) as connection:
        schedule = schedules.create(
            connection,
            name="scores",
            model=EIGHTH.name,
            action="score",
            cron=EVERY_MINUTE,
            timezone="UTC",
            params={},
            missed="run_once",
            paused=False,
            owner="me",
            created_by="me",
            now=began,
        )
    files = [send_file(site, number) for number in range(3)]
    assert [one.state for one in site.all_jobs()] == ["queued"] * 3, "Dagster is not there yet"
    site.start()
    killed: dict[str, int] = {"run": 0, "daemon": 0, "api": 0}
    while sum(killed.values()) < KILLS:
        victim = random.choice(["run", "daemon", "api"])
        until(lambda: any(one.state == "running" for one in site.all_jobs()), 120, site.start)
        time.sleep(random.uniform(0, 1))
        if not site.kill(victim):
            continue
        killed[victim] += 1
        site.start()
        if sum(killed.values()) % 5 == 0:
            files.append(send_file(site, len(files)))
            ask_training(site, len(files))
    assert min(killed.values()) >= 2
    until(lambda: any(one.kind == "score" for one in site.all_jobs()), 120, site.start)
    site.call("PATCH", f"/api/schedules/{schedule.id}", json={"paused": True})
    ended = utc_now()
    until(lambda: all(one.state in FINAL for one in site.all_jobs()), 400, site.start)

    assert len(set(files)) == len(files)
    found = {one.id: one for one in site.all_jobs()}
    assert {one.id for one in found.values() if one.kind == "bulk"} == set(files)
    for job_id in files:
        job = found[job_id]
        assert (job.state, job.error) == ("completed", None)
        assert outcomes(site, job)["line"].to_pylist() == list(range(2, ROWS + 2))
        assert (job.rows_ok, job.rows_error) == (ROWS - ROWS // 50, ROWS // 50)
    for job in found.values():
        assert job.state == "completed", (job.kind, job.error)

    with reading(site.workspace.engine) as connection:
        runs = schedules.runs(connection, schedule.id, 1000)
        log = models.log(connection, EIGHTH.name)
        versions = {one.version for one in models.versions(connection, EIGHTH.name)}
        day = scores.newest_day(connection, EIGHTH.name)
        stamps = connection.exec_driver_sql(
            f"SELECT DISTINCT run_id FROM repeat_orders_scores WHERE as_of = '{LAST}'"
        ).scalars()
        assert len(list(stamps)) == 1, "one run wrote the whole day"
    due = list(takewhile(lambda at: at <= ended, firings(EVERY_MINUTE, "UTC", began)))
    fired = [run.due_at for run in runs]
    assert len(fired) == len(set(fired))
    assert set(fired) <= set(due)
    started = [run for run in runs if run.outcome == "started"]
    assert {run.job for run in started} == {one.id for one in found.values() if one.kind == "score"}
    assert started
    named = [one.version for one in log][::-1]
    assert set(named) <= versions
    assert all(one != other for one, other in pairwise(named))
    assert day is not None
    assert day.rows == 40
