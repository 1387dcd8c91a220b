"""The small firm's code location with short leases and slow chunks, to be killed again."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import Any

from ml.jobs import bulk, lease
from orchestration import intents, job_runs
from tests.orchestration.eighth_location import defs

__all__ = ["defs"]
lease.LEASE = bulk.LEASE = job_runs.LEASE = timedelta(seconds=4)
lease.RENEW_SECONDS = 0.5
intents.CLAIM = timedelta(seconds=20)

read_rows = partial(bulk.read_rows, chunk_rows=25)


def read_slowly(*args: Any) -> Any:
    for rows in read_rows(*args):
        time.sleep(0.2)
        yield rows


bulk.read_rows = read_slowly  # type: ignore[assignment]
