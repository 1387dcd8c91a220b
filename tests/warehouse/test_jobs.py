"""Jobs are done once whoever dies: leases, attempts that lose their job, cancelling, expiry."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from tests.warehouse.desk import Transactions
from warehouse.database import reading
from warehouse.repositories import job_expiry, job_leases, job_quotas, jobs
from warehouse.repositories.job_leases import MOST_ATTEMPTS, MOST_STARTS, LostJobError
from warehouse.repositories.jobs import SAMPLE, Chunk, Job, RowError

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
LATER = NOW + LEASE


class Desk(Transactions):
    """What tests do with jobs."""

    def ask(self, owner: str = "ann", **kwargs: Any) -> str:
        made: Job = self(jobs.create, "bulk", "churn", owner, "key:1", {"reasons": False}, **kwargs)
        return made.id

    def claimed(self, now: datetime = NOW) -> list[Job]:
        return self(job_leases.claim, "bulk", now, LEASE)

    def begun(self, now: datetime = NOW) -> Job:
        [job] = self.claimed(now)
        return self(job_leases.start, job.id, job.attempt, f"run-{job.attempt}", now, LEASE)

    def get(self, job_id: str) -> Job:
        with reading(self.engine) as connection:
            found = jobs.get(connection, job_id)
        assert found is not None
        return found


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def chunk(number: int, ok: int = 9, errors: int = 1) -> Chunk:
    return Chunk(number, ok, errors, f"parts/{number}.parquet")


def test_a_job_waits_is_claimed_runs_and_ends(desk: Desk) -> None:
    job_id = desk.ask(size=1234)
    assert (desk.get(job_id).state, desk.get(job_id).attempt) == ("queued", 0)
    job = desk.begun()
    assert (job.state, job.run_id, job.started_at, job.starts) == ("running", "run-1", NOW, 1)
    desk(job_leases.add_chunk, job_id, 1, chunk(0), [RowError(7, "invalid_row", "no id")])
    desk(job_leases.add_chunk, job_id, 1, chunk(1, 5, 0), [])
    desk(job_leases.finish, job_id, 1, "completed", LATER, result={"seconds": 3})
    ended = desk.get(job_id)
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", 14, 1)
    assert (ended.finished_at, ended.result) == (LATER, {"seconds": 3})
    with reading(desk.engine) as connection:
        assert [one.number for one in jobs.chunks(connection, job_id)] == [0, 1]
        assert jobs.errors(connection, job_id) == [RowError(7, "invalid_row", "no id")]
    assert desk.claimed(LATER + LEASE) == []


def test_jobs_are_claimed_oldest_first_and_by_their_kind(desk: Desk) -> None:
    first, second = desk.ask(), desk.ask()
    desk(jobs.create, "train", "churn", "ann", "key:1", {})
    assert [job.id for job in desk(job_leases.claim, "bulk", NOW, LEASE, 1)] == [first]
    assert [job.id for job in desk.claimed()] == [second]


def test_a_claim_that_came_to_nothing_is_taken_again_and_the_first_run_stays_out(
    desk: Desk,
) -> None:
    job_id = desk.ask()
    [first] = desk.claimed()
    assert desk.claimed(NOW + LEASE / 2) == []
    [second] = desk.claimed(LATER)
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(LostJobError, match="attempt 1"):
        desk(job_leases.start, job_id, 1, "run-1", LATER, LEASE)
    assert desk(job_leases.start, job_id, 2, "run-2", LATER, LEASE).run_id == "run-2"
    with pytest.raises(LostJobError):
        desk(job_leases.start, job_id, 2, "run-2", LATER, LEASE)


def test_a_run_that_renews_its_lease_keeps_its_job(desk: Desk) -> None:
    job = desk.begun() if desk.ask() else None
    assert job is not None
    assert desk(job_leases.renew, job.id, 1, NOW + LEASE / 2, LEASE)
    assert desk.claimed(LATER) == []
    assert [one.attempt for one in desk.claimed(LATER + LEASE / 2)] == [2]


def test_what_a_given_up_run_still_writes_is_refused_and_no_row_counts_twice(desk: Desk) -> None:
    job_id = desk.ask()
    desk.begun()
    desk(job_leases.add_chunk, job_id, 1, chunk(0), [])
    second = desk.begun(LATER)
    for late in (
        lambda: desk(job_leases.add_chunk, job_id, 1, chunk(1), []),
        lambda: desk(job_leases.renew, job_id, 1, LATER, LEASE),
        lambda: desk(job_leases.finish, job_id, 1, "failed", LATER, error="late"),
    ):
        with pytest.raises(LostJobError):
            late()
    assert second.rows_ok == 9, "what was finished stays"
    desk(job_leases.add_chunk, job_id, 2, chunk(1), [])
    with pytest.raises(IntegrityError):
        desk(job_leases.add_chunk, job_id, 2, chunk(1), [])
    assert (desk.get(job_id).rows_ok, desk.get(job_id).rows_error) == (18, 2)


def test_a_waiting_job_is_cancelled_at_once_even_as_its_run_is_submitted(desk: Desk) -> None:
    waits, claimed = desk.ask(), desk.ask()
    assert desk(jobs.cancel, waits, NOW) == "cancelled"
    [job] = desk.claimed()
    assert desk(jobs.cancel, claimed, NOW) == "cancelled"
    with pytest.raises(LostJobError):
        desk(job_leases.start, claimed, job.attempt, "run-1", NOW, LEASE)


def test_a_running_job_hears_that_it_is_cancelled(desk: Desk) -> None:
    job_id = desk.ask()
    desk.begun()
    assert desk(jobs.cancel, job_id, NOW) == "cancelling"
    assert desk(jobs.cancel, job_id, NOW) == "cancelling"
    desk(job_leases.add_chunk, job_id, 1, chunk(0), [])
    assert not desk(job_leases.renew, job_id, 1, NOW, LEASE)
    desk(job_leases.finish, job_id, 1, "cancelled", NOW)
    assert (desk.get(job_id).state, desk.get(job_id).rows_ok) == ("cancelled", 9)


def test_a_run_that_dies_while_it_is_cancelled_leaves_a_cancelled_job(desk: Desk) -> None:
    job_id = desk.ask()
    desk.begun()
    desk(jobs.cancel, job_id, NOW)
    assert desk.claimed(LATER) == []
    assert desk.get(job_id).state == "cancelled"


def test_what_has_ended_stays_ended(desk: Desk) -> None:
    job_id = desk.ask()
    desk.begun()
    desk(job_leases.finish, job_id, 1, "failed", NOW, error="the model is silent")
    assert desk(jobs.cancel, job_id, LATER) == "failed"
    assert (desk.get(job_id).error, desk.get(job_id).finished_at) == ("the model is silent", NOW)
    assert desk(jobs.cancel, "job_nobody", NOW) is None


def test_a_job_whose_runs_keep_dying_has_failed_and_says_so(desk: Desk) -> None:
    job_id = desk.ask()
    now = NOW
    for _ in range(MOST_STARTS):
        desk.begun(now)
        now += LEASE
    assert desk.claimed(now) == []
    assert desk.get(job_id).state == "failed"
    assert f"died {MOST_STARTS} times" in str(desk.get(job_id).error)


def test_waiting_in_a_queue_is_no_death(desk: Desk) -> None:
    job_id = desk.ask()
    for turn in range(2 * MOST_STARTS):
        assert [job.id for job in desk.claimed(NOW + turn * LEASE)] == [job_id]


def test_of_many_that_claim_at_once_each_job_goes_to_one(desk: Desk) -> None:
    made = sorted(desk.ask() for _ in range(12))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: desk.claimed(), range(16)))
    assert sorted(job.id for some in found for job in some) == made


def test_only_a_sample_of_the_errors_is_kept(desk: Desk) -> None:
    job_id = desk.ask()
    desk.begun()
    for number in range(3):
        lines = range(number * 60, number * 60 + 60)
        wrong = [RowError(line, "invalid_row", "no id") for line in lines]
        desk(job_leases.add_chunk, job_id, 1, chunk(number, 0, 60), wrong)
    with reading(desk.engine) as connection:
        assert [one.line for one in jobs.errors(connection, job_id)] == list(range(SAMPLE))
    assert desk.get(job_id).rows_error == 180


def test_an_owner_sees_its_own_jobs_page_by_page_newest_first(desk: Desk) -> None:
    mine = [desk.ask() for _ in range(5)][::-1]
    other = desk.ask("bob")
    with reading(desk.engine) as connection:
        seen: list[str] = []
        after = None
        while found := jobs.page(connection, 2, after, owner="ann"):
            seen += [job.id for job in found]
            after = (found[-1].created_at, found[-1].id)
        assert seen == mine
        assert jobs.get(connection, other, owner="ann") is None
        assert jobs.get(connection, "job_\0") is None
        assert [job.id for job in jobs.page(connection, 9, kinds=["train"])] == []
        assert len(jobs.page(connection, 9, states=["queued"])) == 6


def test_an_owner_holds_its_active_jobs_and_the_files_that_are_left(desk: Desk) -> None:
    done, _ = desk.ask(size=100), desk.ask(size=30)
    desk(jobs.cancel, done, NOW)
    desk.ask("bob", size=1000)
    with reading(desk.engine) as connection:
        assert job_quotas.held(connection, "ann") == (1, 130)
        assert job_expiry.ended_before(connection, NOW) == []
        assert job_expiry.ended_before(connection, LATER) == [done]
    desk(job_expiry.expire, [done])
    with reading(desk.engine) as connection:
        assert job_quotas.held(connection, "ann") == (1, 30)
        assert job_expiry.ended_before(connection, LATER) == []
    assert desk.get(done).state == "expired"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "start", "chunk", "renew", "finish", "cancel", "wait"]),
        st.integers(1, 4),
    ),
    max_size=40,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_whatever_comes_when_no_chunk_counts_twice_and_an_end_is_final(
    desk: Desk, steps: list[tuple[str, int]]
) -> None:
    """Several runs, each with an attempt of its own, act in any order as time goes on."""
    job_id, now, recorded = desk.ask(), NOW, 0
    end: Job | None = None

    def try_(work: Callable[[Connection], T]) -> T | None:
        try:
            return desk(work)
        except LostJobError:
            return None

    for step, attempt in steps:
        before = desk.get(job_id)
        if step == "wait":
            now += LEASE / 2
        elif step == "claim":
            desk.claimed(now)
        elif step == "start":
            try_(lambda c, a=attempt, n=now: job_leases.start(c, job_id, a, f"run-{a}", n, LEASE))  # type: ignore[misc]
        elif step == "chunk":
            number = recorded

            def add(c: Connection, a: int = attempt, number: int = number) -> bool:
                job_leases.add_chunk(c, job_id, a, chunk(number), [])
                return True

            if try_(add):
                recorded += 1
                assert (before.state, before.attempt) in (
                    ("running", attempt),
                    ("cancelling", attempt),
                )
        elif step == "renew":
            try_(lambda c, a=attempt, n=now: job_leases.renew(c, job_id, a, n, LEASE))  # type: ignore[misc]
        elif step == "finish":
            try_(lambda c, a=attempt, n=now: job_leases.finish(c, job_id, a, "completed", n))  # type: ignore[misc]
        else:
            desk(jobs.cancel, job_id, now)
        after = desk.get(job_id)
        assert (after.rows_ok, after.rows_error) == (9 * recorded, recorded)
        assert after.attempt >= before.attempt
        if end is not None:
            assert after == end
        elif after.state in jobs.FINAL:
            end = after
    desk(jobs.cancel, job_id, now)
    desk.claimed(now + 9 * LEASE)
    assert desk.get(job_id).state in jobs.FINAL, "so that the next example claims its own"


def test_a_claim_goes_on_where_its_run_waits_for_its_turn(desk: Desk) -> None:
    waits, forgotten = desk.ask(), desk.ask()
    first = {job.id: job.attempt for job in desk.claimed()}
    assert desk(job_leases.overdue, "bulk", NOW, 9) == []
    overdue = desk(job_leases.overdue, "bulk", LATER, 9)
    assert {job.id for job in overdue} == {waits, forgotten}
    desk(job_leases.prolong, [job for job in overdue if job.id == waits], LATER + LEASE)
    [again] = desk.claimed(LATER)
    assert again.id == forgotten
    assert (desk.get(waits).attempt, again.attempt) == (first[waits], first[forgotten] + 1)
    begun: Job = desk(job_leases.start, waits, first[waits], "run-1", LATER, LEASE)
    assert begun.state == "running"
    desk(job_leases.prolong, [desk.get(waits)], LATER + 9 * LEASE)
    assert desk.get(waits).lease_until == LATER + LEASE, "a run that began has its own lease"


def test_a_job_for_which_no_run_ever_began_has_failed_some_day(desk: Desk) -> None:
    job_id = desk.ask()
    now = NOW
    for attempt in range(1, MOST_ATTEMPTS + 1):
        [job] = desk.claimed(now)
        assert job.attempt == attempt
        now += LEASE
    assert desk.claimed(now) == []
    ended = desk.get(job_id)
    assert ended.state == "failed"
    assert "30 runs were asked for" in str(ended.error)
