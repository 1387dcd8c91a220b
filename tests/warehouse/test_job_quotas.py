"""However many ask at once, an owner gets no more jobs and bytes than it may."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from warehouse.database import utc_now, writing
from warehouse.repositories import job_expiry, job_quotas, jobs
from warehouse.repositories.job_quotas import Quota, TooManyBytesError, TooManyJobsError

QUOTA = Quota(jobs=4, bytes=1_000)


def asked(engine: Engine, owner: str, size: int) -> str | None:
    """The job, or None where it was refused."""
    try:
        with writing(engine) as connection:
            job_quotas.admit(connection, owner, QUOTA, size)
            return jobs.create(connection, "bulk", "churn", owner, "key:1", {}, size=size).id
    except (TooManyJobsError, TooManyBytesError):
        return None


@pytest.mark.parametrize(("size", "expected"), [(1, 4), (300, 3), (1_000, 1), (1_001, 0)])
def test_of_many_at_once_as_many_are_made_as_may_be(
    engine: Engine, size: int, expected: int
) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: asked(engine, f"owner-{number % 2}", size), range(24)))
    assert sum(one is not None for one in made) == 2 * expected


def test_refusals_say_what_is_held_and_end_with_what_holds_it(engine: Engine) -> None:
    made = [asked(engine, "ann", 100) for _ in range(5)]
    assert made[4] is None
    with (
        writing(engine) as connection,
        pytest.raises(TooManyJobsError, match="4 bulk jobs are under way, and 4 may"),
    ):
        job_quotas.admit(connection, "ann", QUOTA)
    with writing(engine) as connection:
        jobs.create(connection, "train", "churn", "ann", "key:1", {})  # counts for nothing
        for job in made[:4]:
            jobs.cancel(connection, str(job), utc_now())
        assert job_quotas.held(connection, "ann") == (0, 400)
        with pytest.raises(TooManyBytesError, match="400 bytes of files are kept"):
            job_quotas.admit(connection, "ann", QUOTA, 601)
        job_quotas.admit(connection, "ann", QUOTA, 600)
        job_expiry.expire(connection, [str(made[0])])
        job_quotas.admit(connection, "ann", QUOTA, 700)
