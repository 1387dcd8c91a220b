"""Dagster's daemon, killed as it is about to submit the run that was asked for a job.

``python -m tests.orchestration.killed_daemon run -w workspace.yaml``
"""

from __future__ import annotations

import os
import signal
from typing import Any

from dagster import DagsterInstance
from dagster._daemon.cli import cli

from orchestration.job_runs import JOB

submit = DagsterInstance.submit_run


def submit_run(instance: DagsterInstance, run_id: str, *args: Any, **kwargs: Any) -> Any:
    run = instance.get_run_by_id(run_id)
    if run is not None and JOB in run.tags:
        os.kill(os.getpid(), signal.SIGKILL)
    return submit(instance, run_id, *args, **kwargs)


if __name__ == "__main__":
    DagsterInstance.submit_run = submit_run  # type: ignore[method-assign,assignment]
    cli()
