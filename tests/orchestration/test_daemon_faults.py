"""Dagster's daemon or its code server is killed at a named point; jobs start when it is back."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.orchestration.site import ROWS, Site, outcomes, send_file, site, until
from warehouse.faults import VARIABLE
from warehouse.repositories.jobs import FINAL

__all__ = ["site"]


def claimed(site: Site) -> bool:
    return all(job.attempt > 0 for job in site.all_jobs())


def ends_once(site: Site, job_id: str) -> None:
    """Start what is not running, and wait until the file's rows are answered, each once."""
    until(lambda: all(job.state in FINAL for job in site.all_jobs()), 200, site.start)
    [job] = site.all_jobs()
    assert (job.id, job.state, job.error) == (job_id, "completed", None)
    assert outcomes(site, job)["line"].to_pylist() == list(range(2, ROWS + 2))


@pytest.mark.long
def test_a_daemon_killed_before_it_submits_a_run_submits_it_when_it_is_back(site: Site) -> None:
    job_id = send_file(site, 1)
    whole = site.commands["daemon"]
    site.commands["daemon"] = [
        sys.executable,
        "-m",
        "tests.orchestration.killed_daemon",
        *whole[1:],
    ]
    site.start("daemon")
    assert site.processes["daemon"].wait(120) == -signal.SIGKILL
    assert claimed(site)
    assert [job.state for job in site.all_jobs()] == ["queued"]
    site.commands["daemon"] = whole
    ends_once(site, job_id)


@pytest.mark.long
def test_a_job_whose_claim_came_to_no_run_is_claimed_again(site: Site) -> None:
    job_id = send_file(site, 1)
    site.start("daemon", **{VARIABLE: "job-claimed"})
    until(lambda: claimed(site), 120, lambda: None)
    site.stop("daemon")
    assert [job.state for job in site.all_jobs()] == ["queued"]
    ends_once(site, job_id)
    [job] = site.all_jobs()
    assert job.attempt > 1
