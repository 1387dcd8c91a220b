"""A run or a sensor that is killed at a named point loses no row and answers none twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from api.main import create_app
from ml.jobs import expiry
from ml.jobs.bulk import run_bulk
from ml.jobs.expiry import expire_files
from ml.jobs.files import job_files
from ml.jobs.lease import LEASE
from ml.lifecycle.workspace import Workspace
from orchestration.intents import CLAIM
from tests.http_server import serving
from tests.jobs.test_bulk import Send, known, outcomes, send, workspace
from warehouse.database import reading, utc_now, writing
from warehouse.faults import VARIABLE
from warehouse.repositories import job_leases, jobs, keys, schedule_runs, schedules

__all__ = ["send", "workspace"]
ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import json, sys
from ml.lifecycle.workspace import Workspace
from ml.models import Registry
from tests.models.eighth import EIGHTH
from warehouse.settings import WarehouseSettings
given = json.loads(sys.argv[1])
workspace = Workspace.open(WarehouseSettings(**given["settings"]), registry=Registry([EIGHTH]))
"""
ANSWER = """
from functools import partial
from ml.jobs import bulk
bulk.read_rows = partial(bulk.read_rows, chunk_rows=3)
bulk.run_bulk(workspace, given["job"], given["attempt"], "run-killed")
"""
TICK = """
import datetime
import dagster as dg
from orchestration.definitions import build_definitions
from orchestration.resources import resources
definitions = build_definitions([EIGHTH], datetime.date(2024, 1, 1), "UTC", workspace)
with dg.DagsterInstance.ephemeral() as instance:
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=definitions.get_repository_def(),
        resources=dict(resources(workspace)),
    )
    definitions.resolve_sensor_def("{sensor}").evaluate_tick(context)
"""
UPLOAD = """
from api.main import create_app
from tests.http_server import serving
with serving(create_app(workspace)) as client:
    client.post("/api/repeat-orders/bulk", content=given["content"], headers=given["headers"])
"""
JOB_POINTS = {
    "upload-kept": UPLOAD,
    "upload-queued": UPLOAD,
    "job-part": ANSWER,
    "job-claimed": TICK.format(sensor="bulk_files"),
    "schedules-fired": TICK.format(sensor="schedules"),
}


def killed_at(
    point: str, workspace: Workspace, job_id: str = "", attempt: int = 0, **more: object
) -> None:
    settings = workspace.settings.model_dump(
        mode="json", include={"home", "source", "warehouse_url"}
    )
    given = {"settings": settings, "job": job_id, "attempt": attempt, **more}
    done = subprocess.run(
        [sys.executable, "-c", OPEN + JOB_POINTS[point], json.dumps(given)],
        env=os.environ | {VARIABLE: point},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("point", ["upload-kept", "upload-queued"])
def test_a_server_killed_within_an_upload_made_no_job_and_the_next_call_makes_one(
    workspace: Workspace, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(workspace.engine) as connection:
        _, key = keys.create(connection, point, "test", "write", "unlimited", "test")
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "k", "Authorization": f"Bearer {key}"}
    content = "client_id\nnobody\n"
    before = set(job_files(workspace).jobs())
    killed_at(point, workspace, content=content, headers=headers)
    with reading(workspace.engine) as connection:
        assert jobs.page(connection, 9, owner=point) == []
    [orphan] = set(job_files(workspace).jobs()) - before
    with serving(create_app(workspace)) as client:
        answers = [
            client.post("/api/repeat-orders/bulk", content=content, headers=headers)
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [202, 202]
    [job] = {answer.json()["id"] for answer in answers}
    later = timedelta(days=1, minutes=5)
    monkeypatch.setattr(expiry, "utc_now", lambda: utc_now() + later)
    expire_files(workspace)
    left = set(job_files(workspace).jobs()) - before
    assert left == {job}
    assert orphan != job
    with writing(workspace.engine) as connection:
        jobs.cancel(connection, job, utc_now())


def test_a_run_killed_between_a_part_and_its_row_leaves_each_row_once(
    workspace: Workspace, send: Send
) -> None:
    names = known(workspace, 8)
    job = send(("client_id\n" + "\n".join(names) + "\n").encode())
    killed_at("job-part", workspace, job.id, job.attempt)
    with reading(workspace.engine) as connection:
        left = jobs.get(connection, job.id)
        assert left is not None
        assert (left.state, left.rows_ok) == ("running", 0)
        assert jobs.chunks(connection, job.id) == []
    with writing(workspace.engine) as c:
        [again] = job_leases.claim(c, "bulk", utc_now() + LEASE, LEASE)
    ended = run_bulk(workspace, again.id, again.attempt, "run-10")
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", 8, 0)
    assert outcomes(workspace, ended)["buyer_id"].tolist() == names


def test_a_sensor_killed_after_its_claim_leaves_a_job_that_is_claimed_again(
    workspace: Workspace, send: Send
) -> None:
    job = send(b"client_id,revenue_30d\n,5\n")
    with writing(workspace.engine) as c:
        # As if it had never been claimed: the sensor is the first to.
        c.exec_driver_sql(f"UPDATE jobs SET lease_until = NULL WHERE id = '{job.id}'")
    killed_at("job-claimed", workspace)
    with writing(workspace.engine) as c:
        assert job_leases.claim(c, "bulk", utc_now(), LEASE) == []
        [again] = job_leases.claim(c, "bulk", utc_now() + CLAIM, LEASE)
    assert (again.id, again.attempt) == (job.id, job.attempt + 2)
    ended = run_bulk(workspace, again.id, again.attempt, "run-10")
    assert (ended.state, ended.rows_ok) == ("completed", 1)


def test_a_sensor_killed_after_it_fired_schedules_has_fired_each_once(
    workspace: Workspace,
) -> None:
    with writing(workspace.engine) as c:
        schedule = schedules.create(
            c,
            name="every hour",
            model="repeat_orders",
            action="score",
            cron="0 * * * *",
            timezone="UTC",
            params={},
            missed="run_once",
            paused=False,
            owner="ann",
            created_by="ann",
            now=utc_now() - timedelta(hours=1),
        )
    killed_at("schedules-fired", workspace)
    with writing(workspace.engine) as c:
        assert schedule_runs.fire_due(c, utc_now()) == []
        [run] = schedule_runs.page(c, schedule.id, 10)
        [job] = job_leases.claim(c, "score", utc_now(), LEASE)
    assert (run.outcome, run.job, job.state) == ("started", job.id, "queued")
