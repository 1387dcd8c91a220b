"""How much one owner may have of bulk jobs: under way at once, and bytes of files that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from warehouse.control_tables import jobs
from warehouse.database import one_at_a_time
from warehouse.repositories.jobs import ACTIVE

_T = jobs.c


@dataclass(frozen=True)
class Quota:
    """Bulk jobs that an owner may have under way, and bytes of its files until they expire."""

    jobs: int
    bytes: int


class TooManyJobsError(RuntimeError):
    """The owner has as many bulk jobs under way as it may."""


class TooManyBytesError(RuntimeError):
    """The owner's files would take more than it may keep."""


def held(connection: Connection, owner: str) -> tuple[int, int]:
    """How many bulk jobs an owner has under way, and the bytes of its files that are kept."""
    of_owner = (_T.kind == "bulk", _T.owner == owner)
    active = select(func.count()).where(*of_owner, _T.state.in_(ACTIVE))
    size = select(func.coalesce(func.sum(_T.bytes), 0)).where(*of_owner, _T.state != "expired")
    return connection.execute(active).scalar_one(), int(connection.execute(size).scalar_one())


def admit(connection: Connection, owner: str, quota: Quota, size: int = 0) -> None:
    """Refuse one more job with a file of ``size`` bytes where it would be too much.

    In the transaction that then makes the job, nobody else's comes between.
    """
    one_at_a_time(connection, f"jobs of {owner}")
    check(held(connection, owner), quota, size)


def check(having: tuple[int, int], quota: Quota, size: int = 0) -> None:
    """Refuse one more job beside those that are held; the message says how much there is."""
    under_way, kept = having
    if under_way >= quota.jobs:
        raise TooManyJobsError(
            f"{under_way} bulk jobs are under way, and {quota.jobs} may be at once: wait until one"
            " has ended, or cancel one"
        )
    if kept + size > quota.bytes:
        raise TooManyBytesError(
            f"{kept:,} bytes of files are kept until they expire, and {quota.bytes:,} may be:"
            f" {size:,} more are too many"
        )
