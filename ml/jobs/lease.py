"""The lease of a job's run: renewed beside the work, so that long steps do not lose it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from warehouse.database import utc_now, writing
from warehouse.repositories import job_leases
from warehouse.repositories.job_leases import LostJobError
from warehouse.repositories.jobs import Job

LEASE = timedelta(minutes=2)
RENEW_SECONDS = 20.0
"""So that a lease outlives a few renewals that find the warehouse busy."""


@dataclass
class Lease:
    """Whether the work should go on."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """LostJobError where another attempt has the job now."""
        if self.lost.is_set():
            raise LostJobError("another attempt took the job over")


@contextmanager
def renewed(
    engine: Engine, job: Job, lease: Lease, stop: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Renew the lease of a job that was started, until the block ends.

    While the work should not go on, since somebody cancelled the job or it is another attempt's,
    ``stop`` is called with the reason at every renewal, from the thread that renews: once is not
    enough where a signal is what tells, since some libraries swallow what its handler raises.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_SECONDS):
            with suppress(SQLAlchemyError):  # the next renewal comes before the lease ends
                if why := _why_to_stop(engine, job, lease):
                    stop(why)

    thread = threading.Thread(target=renew, name=f"lease of {job.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _why_to_stop(engine: Engine, job: Job, lease: Lease) -> str | None:
    """Renew the lease, and note there whether the work should go on; None where it should."""
    try:
        with writing(engine) as connection:
            goes_on = job_leases.renew(connection, job.id, job.attempt, utc_now(), LEASE)
    except LostJobError:
        lease.lost.set()
        return "Another run took its job over."
    if goes_on:
        return None
    lease.cancelled.set()
    return "Its job was cancelled."
