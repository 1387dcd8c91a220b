"""Runs whose process is gone: Dagster counts them as under way, and they keep others waiting.

Each run locks a file of its own in ``$DAGSTER_HOME/running`` for as long as its process lives. The
kernel lets go of the lock however the process ends, so a file that can be locked is that of a
dead one, whatever became of its number or its container. A run without a file is another
machine's, and is left to ``max_runtime_seconds``.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

LEFT_SECONDS = 3600.0
UNDER_WAY = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
GONE = (
    "The process of this run is gone: it was killed, or the machine went down. Nothing of it was"
    " half written. Where it did a job, another run is asked for by itself; else start it again, or"
    " leave it to the next schedule."
)


def hold(instance: dg.DagsterInstance, run_id: str) -> int:
    """Lock the run's file; the lock goes with the descriptor, or with this process."""
    folder = _folder(instance)
    folder.mkdir(parents=True, exist_ok=True)
    unlocked = folder / f"{run_id}.new"
    held = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(held, fcntl.LOCK_EX)
    # Only a locked file gets the name that others look for.
    unlocked.rename(folder / run_id)
    return held


@contextmanager
def holding(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Tell others that this process is at the run, until the block ends."""
    held = hold(instance, run_id)
    try:
        yield
    finally:
        os.close(held)


def end_abandoned(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone; returns their ids."""
    ended = []
    for path in _folder(instance).glob("*"):
        if path.suffix:
            _remove_if_left(path)
            continue
        try:
            free = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # another daemon was here
            continue
        try:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            run = instance.get_run_by_id(path.name)
            if run is not None and run.status in UNDER_WAY:
                instance.report_run_failed(run, GONE)
                ended.append(run.run_id)
            path.unlink(missing_ok=True)
        finally:
            os.close(free)
    return ended


def _remove_if_left(unlocked: Path) -> None:
    """A process that was killed as it began may have left it; one that begins needs an instant."""
    with suppress(FileNotFoundError):
        if time.time() - unlocked.stat().st_mtime > LEFT_SECONDS:
            unlocked.unlink()


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "running"
