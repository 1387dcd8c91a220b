"""One at a time: a lock for work that spans the lake and the warehouse, such as an ingestion."""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text


@contextmanager
def alone(engine: Engine, work: str) -> Iterator[None]:
    """Hold the warehouse's lock of this work to the end; whoever comes second waits.

    On PostgreSQL it is an advisory lock of a connection of its own, on SQLite a lock on a file
    beside the database. Either goes with the process that holds it, however that ends.
    """
    if engine.dialect.name == "postgresql":
        # Without a transaction of its own: an open one would hold back vacuum all the while.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = zlib.crc32(f"sevenfold {work}".encode())
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
        return
    with Path(f"{engine.url.database}.{work}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
