"""Once a day the files of old jobs go, by a run as by the command."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from ml.jobs import expiry
from ml.jobs.files import job_files
from ml.lifecycle.workspace import Workspace
from orchestration.definitions import build_definitions
from orchestration.housekeeping import HOUSEKEEPING
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from warehouse.database import reading, utc_now, writing
from warehouse.job_files import INPUT
from warehouse.repositories import jobs


def ended_job(workspace: Workspace) -> str:
    files, job_id = job_files(workspace), jobs.new_id()
    with files.draft() as draft:
        draft.write_text("client_id\n")
        files.keep(draft, job_id, INPUT)
    with writing(workspace.engine) as connection:
        jobs.create(connection, "bulk", EIGHTH.name, "ann", "key:1", {}, job_id)
        jobs.cancel(connection, job_id, utc_now())
    return job_id


def state(workspace: Workspace, job_id: str) -> str:
    with reading(workspace.engine) as connection:
        job = jobs.get(connection, job_id)
    assert job is not None
    return job.state


def test_a_daily_run_removes_the_files_of_jobs_that_ended_long_ago(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = life.ingested()
    job_id = ended_job(workspace)
    definitions = build_definitions([EIGHTH], date(2024, 1, 1), "Europe/Berlin", workspace)
    schedule = definitions.resolve_schedule_def("daily_housekeeping")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 4 * * *", "Europe/Berlin")
    with dg.DagsterInstance.ephemeral() as instance:
        at = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        [request] = schedule.evaluate_tick(context).run_requests
        assert request.run_key == "housekeeping:2026-03-01"
        job = definitions.resolve_job_def(HOUSEKEEPING)
        assert job.execute_in_process(instance=instance).success
        assert state(workspace, job_id) == "cancelled"
        later = timedelta(days=workspace.settings.job_days, minutes=1)
        monkeypatch.setattr(expiry, "utc_now", lambda: utc_now() + later)
        assert job.execute_in_process(instance=instance).success
    assert state(workspace, job_id) == "expired"
    assert job_files(workspace).jobs() == {}
