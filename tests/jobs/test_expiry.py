"""Files of jobs go days after their end, and what belongs to no job a day after it was left."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ml.jobs import expiry
from ml.jobs.bulk import job_files, run_bulk
from ml.jobs.expiry import Expired, expire_files, forget_jobs
from ml.lifecycle.workspace import Workspace
from tests.jobs.test_bulk import Send, send, workspace
from tests.models.eighth import EIGHTH
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import job_expiry, jobs, schedule_runs, schedules

__all__ = ["send", "workspace"]
WEEK = timedelta(days=7)


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    monkeypatch.setattr(expiry, "utc_now", lambda: utc_now() + by)


def aged(path: Path, days: float) -> None:
    then = (datetime.now() - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))


def state(workspace: Workspace, job_id: str) -> str:
    with reading(workspace.engine) as connection:
        job = jobs.get(connection, job_id)
    assert job is not None
    return job.state


def test_files_go_days_after_the_end_and_the_job_says_so(
    workspace: Workspace, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, waits = send(b"client_id\nnobody\n"), send(b"client_id\nnobody\n")
    run_bulk(workspace, ended.id, ended.attempt, "run-9")
    files = job_files(workspace)
    assert workspace.settings.job_days == WEEK.days
    later(monkeypatch, WEEK - timedelta(minutes=5))
    assert expire_files(workspace) == Expired(0, 0)
    later(monkeypatch, WEEK + timedelta(minutes=5))
    assert expire_files(workspace) == Expired(1, 0)
    assert state(workspace, ended.id) == "expired"
    assert state(workspace, waits.id) == "queued"
    assert waits.id in files.jobs()
    assert ended.id not in files.jobs()
    with reading(workspace.engine) as connection:
        shown = jobs.get(connection, ended.id)
    assert shown is not None
    assert (shown.rows_error, shown.finished_at is None) == (1, False), "the counts stay"
    assert expire_files(workspace) == Expired(0, 0)


def test_jobs_without_files_keep_their_state(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(workspace.engine) as c:
        train = jobs.create(c, "train", "churn", "ann", "key:1", {}).id
        jobs.cancel(c, train, utc_now())
    later(monkeypatch, 2 * WEEK)
    expire_files(workspace)
    assert state(workspace, train) == "cancelled"


def test_what_belongs_to_no_job_goes_after_a_day(workspace: Workspace, send: Send) -> None:
    job = send(b"client_id\nnobody\n")
    root, files = Path(workspace.settings.jobs), job_files(workspace)
    for name, days in (("job_old", 1.1), ("job_new", 0.9), (job.id, 3), ("photographs", 9)):
        (root / name).mkdir(exist_ok=True)
        aged(root / name, days)
    for name, days in ((".draft-old", 1.1), (".draft-new", 0.9)):
        (root / name).write_text("half a file")
        aged(root / name, days)
    assert expire_files(workspace) == Expired(0, 2)
    assert {"job_new", job.id} <= files.jobs().keys()
    assert "job_old" not in files.jobs()
    assert [path.name for path in root.glob(".draft-*")] == [".draft-new"]
    assert (root / "photographs").is_dir(), "it is none of ours"


def test_files_that_outlived_their_job_go_the_next_day(
    workspace: Workspace, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the process died after the job was marked."""
    job = send(b"client_id\nnobody\n")
    run_bulk(workspace, job.id, job.attempt, "run-9")
    with writing(workspace.engine) as connection:
        job_expiry.expire(connection, [job.id])
    assert expire_files(workspace).leftovers == 0
    later(monkeypatch, timedelta(days=1, minutes=5))
    assert expire_files(workspace).leftovers >= 1
    assert job.id not in job_files(workspace).jobs()


def test_old_jobs_and_firings_are_forgotten_after_the_retention(
    workspace: Workspace, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, waits = send(b"client_id\nnobody\n"), send(b"client_id\nnobody\n")
    run_bulk(workspace, ended.id, ended.attempt, "run-9")
    with writing(workspace.engine) as c:
        asked = schedules.create(
            c,
            name="nightly",
            model=EIGHTH.name,
            action="score",
            cron="0 3 * * *",
            timezone="UTC",
            params={},
            missed="skip",
            paused=False,
            owner="ann",
            created_by="key:1",
            now=utc_now(),
        )
        by_hand = schedule_runs.run_by_hand(c, asked, "key:1", utc_now())
        assert by_hand.job is not None
        jobs.cancel(c, by_hand.job, utc_now())
    year = timedelta(days=workspace.settings.retention_days, minutes=5)
    later(monkeypatch, year - timedelta(minutes=10))
    expire_files(workspace)
    forget_jobs(workspace)
    assert state(workspace, ended.id) == "expired"
    assert state(workspace, by_hand.job) == "cancelled"
    later(monkeypatch, year)
    assert forget_jobs(workspace) >= 2
    with reading(workspace.engine) as c:
        assert jobs.get(c, ended.id) is None
        assert jobs.get(c, by_hand.job) is None
        assert jobs.chunks(c, ended.id) == jobs.errors(c, ended.id) == []
        assert schedule_runs.page(c, asked.id, 10) == []
    assert state(workspace, waits.id) == "queued"
