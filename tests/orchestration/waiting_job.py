"""A job that is at work until its process is killed, in a code location of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import dagster as dg

from orchestration.executor import watched


@dg.op
def wait() -> None:
    """Say that it began; a step in a process of its own ends when the run's process has."""
    parent = os.getppid()
    Path(os.environ["WAITING_BEGAN"]).touch()
    while os.getppid() == parent:
        time.sleep(0.05)


@dg.job(executor_def=watched(dg.multi_or_in_process_executor))
def waiting() -> None:
    wait()


defs = dg.Definitions(jobs=[waiting])
