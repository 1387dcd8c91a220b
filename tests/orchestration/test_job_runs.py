"""Scoring and training that somebody asked for: a tick claims them, a real run does them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml.jobs.lease import LEASE
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from orchestration.abandoned import end_abandoned
from orchestration.definitions import build_definitions
from orchestration.intents import CLAIM
from orchestration.resources import prepare_dagster_home, resources
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs, models, scores
from warehouse.repositories.jobs import Job, Kind

ROOT = Path(__file__).resolve().parents[2]


class Dagster:
    """A home's ticks here, and its runs in processes of their own, as the daemon starts them."""

    def __init__(self, workspace: Workspace, folder: Path, instance: dg.DagsterInstance) -> None:
        self.workspace, self.folder, self.instance = workspace, folder, instance
        self.definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", workspace)

    def ask(self, kind: Kind, model: str = EIGHTH.name, **params: Any) -> Job:
        with writing(self.workspace.engine) as connection:
            return jobs.create(connection, kind, model, "ann", "ann", params)

    def tick(self, sensor: str) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.definitions.get_repository_def(),
            resources=dict(resources(self.workspace)),
        )
        with context:
            data = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        return list(data.run_requests or [])

    def start(self, request: dg.RunRequest, **env: str) -> subprocess.Popen[bytes]:
        tags = dict(request.tags)
        if request.partition_key:
            tags |= {"dagster/partition": request.partition_key}
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "dagster", "job", "execute"),
                *("-m", "tests.orchestration.eighth_location", "-j", str(request.job_name)),
                *("--tags", json.dumps(tags)),
            ],
            cwd=ROOT,
            env={**os.environ, "FIRM": str(self.folder), **env},
            stderr=subprocess.DEVNULL,
        )

    def run(self, request: dg.RunRequest, **env: str) -> int:
        with self.start(request, **env) as process:
            return process.wait()

    def job(self, job: Job) -> Job:
        with reading(self.workspace.engine) as connection:
            found = jobs.get(connection, job.id)
        assert found is not None
        return found

    def statuses(self) -> Mapping[str, str]:
        return {run.run_id: run.status.value for run in self.instance.get_runs()}


@pytest.fixture
def dagster(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dagster]:
    workspace = life.ingested()
    monkeypatch.setenv("SEVENFOLD_HOME", str(workspace.settings.home))
    monkeypatch.setenv("SEVENFOLD_SOURCE", workspace.settings.source)
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(workspace.settings)
    with dg.DagsterInstance.get() as instance:
        yield Dagster(workspace, tmp_path, instance)


def test_a_training_and_then_a_scoring_are_runs_whose_jobs_end_with_what_came_of_them(
    dagster: Dagster,
) -> None:
    asked = dagster.ask("train")
    [request] = dagster.tick("train_jobs")
    assert dagster.tick("train_jobs") == [], "it is claimed"
    assert dagster.run(request) == 0
    trained = dagster.job(asked)
    assert (trained.state, trained.error) == ("completed", None)
    assert [trained.run_id] == list(dagster.statuses())
    with reading(dagster.workspace.engine) as connection:
        champion = models.champion(connection, EIGHTH.name)
    assert champion is not None
    assert trained.result is not None
    assert trained.result["candidate"] == trained.result["champion"] == champion.version
    assert trained.result["promoted"] is True

    asked = dagster.ask("score")
    [request] = dagster.tick("score_jobs")
    assert request.partition_key == LAST.isoformat(), "the newest day that is known"
    assert dagster.run(request) == 0
    scored = dagster.job(asked)
    with reading(dagster.workspace.engine) as connection:
        day = scores.newest_day(connection, EIGHTH.name)
    assert day is not None
    assert scored.result is not None
    assert (scored.result["as_of"], scored.result["rows"]) == (LAST.isoformat(), day.rows)
    assert (scored.state, scored.run_id) == ("completed", day.run_id)


def test_what_cannot_be_done_fails_the_job_in_words(dagster: Dagster) -> None:
    later = dagster.ask("score", as_of=(LAST + timedelta(days=9)).isoformat())
    elsewhere = dagster.ask("score", model="nobodys")
    early = dagster.ask("score", as_of="2023-12-31")
    possible = dagster.ask("score")
    [request] = dagster.tick("score_jobs")
    assert "cannot be scored" in str(dagster.job(later).error)
    assert "nobodys was not available" in str(dagster.job(elsewhere).error)
    assert "cannot be scored" in str(dagster.job(early).error)
    assert dagster.run(request) != 0
    ended = dagster.job(possible)
    assert ended.state == "failed"
    assert "has no champion" in str(ended.error)


def test_of_what_nobody_foresaw_the_owner_sees_the_kind_and_no_path(dagster: Dagster) -> None:
    asked = dagster.ask("train")
    [request] = dagster.tick("train_jobs")
    for part in Path(dagster.workspace.settings.lake).rglob("*.parquet"):
        part.unlink()
    assert dagster.run(request) != 0
    ended = dagster.job(asked)
    assert ended.state == "failed"
    assert "the run's log has the rest" in str(ended.error)
    assert str(dagster.folder) not in str(ended.error)


@pytest.mark.parametrize("point", ["artifact-complete", "promotion-open"])
def test_a_run_that_was_killed_is_done_by_another(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    asked = dagster.ask("train")
    [first] = dagster.tick("train_jobs")
    assert dagster.run(first, SEVENFOLD_FAULT=point) == -signal.SIGKILL
    assert dagster.job(asked).state == "running"
    assert len(end_abandoned(dagster.instance)) == 1
    assert dagster.tick("train_jobs") == [], "its lease still runs"
    later = utc_now() + max(LEASE, CLAIM)
    monkeypatch.setattr("orchestration.intents.utc_now", lambda: later)
    [second] = dagster.tick("train_jobs")
    assert first.run_key != second.run_key, "Dagster remembers a key for ever"
    assert dagster.run(second) == 0
    assert dagster.job(asked).state == "completed"
    assert dagster.run(first) != 0, "the first attempt is over, whoever starts it again"
    assert sorted(dagster.statuses().values()) == ["FAILURE", "FAILURE", "SUCCESS"]
    with reading(dagster.workspace.engine) as connection:
        assert len(models.log(connection, EIGHTH.name)) == 1


def test_a_job_whose_run_waits_for_its_turn_is_not_asked_for_again(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each claim would make the run before it worthless, and a long queue would never move."""
    asked = dagster.ask("train")
    [request] = dagster.tick("train_jobs")
    waiting = dagster.instance.create_run_for_job(
        dagster.definitions.resolve_job_def(str(request.job_name)),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTING,
    )
    later = utc_now() + 2 * CLAIM
    monkeypatch.setattr("orchestration.intents.utc_now", lambda: later)
    assert dagster.tick("train_jobs") == []
    assert dagster.job(asked).attempt == 1
    dagster.instance.report_run_canceled(waiting)
    later = later + 2 * CLAIM
    [again] = dagster.tick("train_jobs")
    assert again.tags["sevenfold/attempt"] == "2"


def test_a_job_whose_run_was_made_and_never_submitted_is_asked_for_again(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Dagster's daemon dies in between, and is not back within a day."""
    asked = dagster.ask("train")
    [request] = dagster.tick("train_jobs")
    dagster.instance.create_run_for_job(
        dagster.definitions.resolve_job_def(str(request.job_name)), tags=dict(request.tags)
    )
    monkeypatch.setattr("orchestration.intents.utc_now", lambda: utc_now() + 2 * CLAIM)
    [again] = dagster.tick("train_jobs")
    assert again.tags["sevenfold/attempt"] == "2"
    assert dagster.job(asked).attempt == 2


@contextmanager
def learning(
    dagster: Dagster, folder: Path, interrupt: str = "raised"
) -> Iterator[tuple[Job, subprocess.Popen[bytes]]]:
    """A training job and the process of its run, which learns until it is stopped."""
    train(dagster.workspace, EIGHTH, "run-1")
    promote_if_passed(dagster.workspace, EIGHTH, "me")
    asked, began = dagster.ask("train"), folder / "learning"
    [request] = dagster.tick("train_jobs")
    with dagster.start(request, LEARNING=str(began), INTERRUPT=interrupt) as process:
        deadline = time.monotonic() + 60
        while not began.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield asked, process
        try:
            assert process.wait(50) != 0
        finally:
            process.kill()


@pytest.mark.parametrize("interrupt", ["raised", "swallowed", "renamed"])
def test_cancelling_stops_the_run_whatever_a_library_makes_of_the_interrupt(
    dagster: Dagster, tmp_path: Path, interrupt: str
) -> None:
    with (
        learning(dagster, tmp_path, interrupt) as (asked, _process),
        writing(dagster.workspace.engine) as connection,
    ):
        assert jobs.cancel(connection, asked.id, utc_now()) == "cancelling"
    assert dagster.job(asked).state == "cancelled"
    assert list(dagster.statuses().values()) == ["CANCELED"]


@pytest.mark.parametrize("forced", [False, True])
def test_a_run_stopped_in_dagster_ends_its_job(
    dagster: Dagster, tmp_path: Path, forced: bool
) -> None:
    with learning(dagster, tmp_path) as (asked, process):
        [run] = dagster.instance.get_runs()
        dagster.instance.report_run_canceling(run)
        if forced:
            dagster.instance.report_run_canceled(run)
        process.send_signal(signal.SIGINT)
    ended = dagster.job(asked)
    assert (ended.state, ended.error) == ("cancelled", "Its run was stopped in Dagster.")
    assert list(dagster.statuses().values()) == ["CANCELED"]


def test_a_run_that_ends_with_the_whole_machine_leaves_its_job_to_another(
    dagster: Dagster, tmp_path: Path
) -> None:
    with learning(dagster, tmp_path) as (asked, process):
        process.send_signal(signal.SIGINT)
    assert dagster.job(asked).state == "running", "until its lease is over"
