"""Runs, Dagster's daemon and the API are killed twenty times: nothing is lost or done twice."""

from __future__ import annotations

import time
from itertools import count, pairwise, takewhile
from random import Random

import pytest

from tests.models.eighth import EIGHTH
from tests.orchestration.site import ROWS, Site, outcomes, send_file, site, until
from tests.small_firm import LAST
from warehouse.cron import firings
from warehouse.database import reading, utc_now
from warehouse.repositories import models, schedule_runs, scores
from warehouse.repositories.jobs import FINAL

__all__ = ["site"]
KILLS = 20
EVERY_MINUTE = "* * * * *"


def ask_training(site: Site, number: int) -> None:
    body = {"model": "repeat-orders", "reason": f"number {number}"}
    answer = site.call(
        "POST", "/api/admin/retrain", json=body, headers={"Idempotency-Key": f"train-{number}"}
    )
    assert answer.status_code == 202 or "training_under_way" in answer.text


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_whatever_is_killed_every_job_ends_and_nothing_is_lost_doubled_or_half_done(
    site: Site,
) -> None:
    random = Random(20)
    began = utc_now()
    body = {"name": "scores", "model": "repeat-orders", "action": "score", "cron": EVERY_MINUTE}
    made = site.call("POST", "/api/admin/schedule", json=body)
    assert made.status_code == 201, made.text
    schedule: str = made.json()["id"]
    files = [send_file(site, number) for number in range(3)]
    assert [one.state for one in site.all_jobs()] == ["queued"] * 3, "Dagster is not there yet"
    site.start()
    killed: dict[str, int] = {"run": 0, "daemon": 0, "api": 0}
    missing = {"bulk", "score", "train"}
    trainings = count()

    def keep() -> None:
        site.start()
        active = {one.kind for one in site.all_jobs() if one.state not in FINAL}
        if "train" in missing and "train" not in active:
            ask_training(site, next(trainings))

    def worth_it() -> bool:
        return bool(site.running() & missing if missing else site.running())

    while sum(killed.values()) < KILLS or missing:
        victim = random.choice(["run", "daemon", "api"])
        until(worth_it, 150, keep)
        time.sleep(random.uniform(0, 0.3 if missing else 1))
        at_work = site.running()
        if not site.kill(victim):
            continue
        killed[victim] += 1
        if victim == "run":
            missing.difference_update(at_work)
        site.start()
        if sum(killed.values()) % 5 == 0:
            files.append(send_file(site, len(files)))
            ask_training(site, next(trainings))
    assert min(killed.values()) >= 2
    until(lambda: any(one.kind == "score" for one in site.all_jobs()), 120, site.start)
    site.call("PATCH", f"/api/schedules/{schedule}", json={"paused": True})
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
        runs = schedule_runs.page(connection, schedule, 1000)
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
    told = {run.due_at: run for run in runs}
    for one, at in pairwise(due[: due.index(max(fired)) + 1]):
        # A row that says so stands for all that were missed with it.
        if at not in told:
            told[at] = told[one]
            assert "with all that follow" in str(told[one].detail)
    started = [run for run in runs if run.outcome == "started"]
    assert {run.job for run in started} == {one.id for one in found.values() if one.kind == "score"}
    assert started
    named = [one.version for one in log][::-1]
    assert set(named) <= versions
    assert all(one != other for one, other in pairwise(named))
    assert day is not None
    assert day.rows == 40
