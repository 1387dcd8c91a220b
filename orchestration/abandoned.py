"""Runs whose process is gone: Dagster counts them as under way, and they keep others waiting.

Each run locks a file of its own in ``$DAGSTER_HOME/running`` for as long as its process lives. The
kernel lets go of the lock however the process ends, so a file that can be locked is that of a
dead one, whatever became of its number or its container. A run without a file is another
machine's, and is left to ``max_runtime_seconds``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

UNDER_WAY = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
GONE = (
    "The process of this run is gone: it was killed, or the machine went down. Nothing of it was"
    " half written; start it again, or leave it to the next schedule."
)


@contextmanager
def holding(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Tell others that this process is at the run, until the block ends."""
    held = _hold(instance, run_id)
    try:
        yield
    finally:
        os.close(held)


def watched(inner: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The same executor, whose runs are held by the process that a launcher started for each."""

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        create_inner = inner.executor_creation_fn
        assert create_inner is not None, "only the executors of tests are made without a function"
        return _Held(create_inner(context))

    return dg.ExecutorDefinition(
        name=inner.name,
        config_schema=inner.config_schema,
        requirements=inner.get_requirements,
        executor_creation_fn=create,
        description=inner.description,
    )


def end_abandoned(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone; returns their ids."""
    ended = []
    for path in _folder(instance).glob("*"):
        if path.suffix:
            continue
        free = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            run = instance.get_run_by_id(path.name)
            if run is not None and run.status in UNDER_WAY:
                instance.report_run_failed(run, GONE)
                ended.append(run.run_id)
            path.unlink()
        finally:
            os.close(free)
    return ended


class _Held(dg.Executor):
    """Runs with another executor, and holds the run until its process ends.

    Not only until the steps have: that the run has succeeded is written after them.
    """

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        _hold(plan_context.instance, plan_context.run_id)
        yield from self._inner.execute(plan_context, execution_plan)


def _hold(instance: dg.DagsterInstance, run_id: str) -> int:
    folder = _folder(instance)
    folder.mkdir(parents=True, exist_ok=True)
    unlocked = folder / f"{run_id}.new"
    held = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(held, fcntl.LOCK_EX)
    # Only a locked file gets the name that others look for.
    unlocked.rename(folder / run_id)
    return held


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "running"
