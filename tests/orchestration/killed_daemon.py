"""Dagster's daemon, killed as it is about to submit a run that it made for a sensor.

``python -m tests.orchestration.killed_daemon run -w workspace.yaml``
"""

from __future__ import annotations

import os
import signal
from typing import Any

from dagster import DagsterInstance
from dagster._daemon.cli import cli


def submit_run(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    DagsterInstance.submit_run = submit_run  # type: ignore[method-assign,assignment]
    cli()
