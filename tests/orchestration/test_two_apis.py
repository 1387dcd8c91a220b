"""Two instances of the API and one Dagster, all processes, on one PostgreSQL and one Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.conftest import redis_url
from tests.lifecycle.conftest import Life
from tests.orchestration.site import ROWS, Site, file_of, outcomes, prepared, until
from tests.small_firm import Firm
from warehouse.repositories.jobs import FINAL, Job

__all__ = ["redis_url"]
pytestmark = [pytest.mark.postgres, pytest.mark.long]
WITHIN_SECONDS = 5.0


@pytest.fixture
def site(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """Both APIs started, and Dagster not yet."""
    life = Life(Firm(tmp_path, postgres_url))
    monkeypatch.setenv("SEVENFOLD_WAREHOUSE_URL", postgres_url)
    workspace = prepared(life, monkeypatch)
    env = {"FIRM_WAREHOUSE": postgres_url, "FIRM_LIMITS": redis_url}
    made = Site(workspace, tmp_path, ("one", "other"), **env)
    made.start("one", "other")
    yield made
    made.stop()
    life.close()


def only_job(site: Site) -> Job:
    [job] = site.all_jobs()
    return job


def test_fifty_calls_over_both_with_dagster_stopped_make_one_job_that_it_does_when_it_is_back(
    site: Site,
) -> None:
    for api in site.ports:
        assert site.call("GET", "/api/health/live", api).status_code == 200

    def send(number: int) -> str:
        headers = {"Idempotency-Key": "the same"}
        asked = {"content": file_of(ROWS), "headers": headers}
        path = "/api/repeat-orders/bulk?format=csv"
        while True:
            sent = site.call("POST", path, ("one", "other")[number % 2], **asked)
            if sent.status_code != 409:  # one that is in flight says so, to be asked again
                break
            time.sleep(float(sent.headers["retry-after"]))
        assert sent.status_code == 202, sent.text
        found: str = sent.json()["id"]
        return found

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(send, range(50)))) == 1
    assert only_job(site).state == "queued"
    site.start("daemon")
    until(lambda: only_job(site).state in FINAL, 200, site.start)
    assert (only_job(site).state, only_job(site).error) == ("completed", None)
    assert outcomes(site, only_job(site))["line"].to_pylist() == list(range(2, ROWS + 2))


def test_a_run_whose_job_is_cancelled_on_the_other_ends_within_seconds(site: Site) -> None:
    site.start("daemon")
    path = "/api/repeat-orders/bulk?format=csv"
    job = site.call("POST", path, "one", content=file_of(10 * ROWS)).json()["id"]
    until(lambda: only_job(site).rows_ok > 0, 200, site.start)
    asked = time.monotonic()
    assert site.call("DELETE", f"/api/jobs/{job}", "other").json()["state"] == "cancelling"
    until(lambda: only_job(site).state in FINAL, WITHIN_SECONDS, lambda: None)
    assert time.monotonic() - asked < WITHIN_SECONDS
    assert site.call("GET", f"/api/jobs/{job}", "one").json()["state"] == "cancelled"
