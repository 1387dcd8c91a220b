"""Runs and the server's helpers step aside for the server, which shares their machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ml.priority import HELPER, RUN, step_aside

ROOT = Path(__file__).resolve().parents[2]


def reaches(niceness: int, command: Sequence[str], **environment: str) -> bool:
    """Whether the process gets to this niceness before it ends; it is killed then."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if os.getpriority(os.PRIO_PROCESS, process.pid) == niceness:
                process.kill()
                return True
            time.sleep(0.02)
        process.kill()
    return False


@pytest.mark.parametrize("helper", [["ml.serving.worker", "{}"], ["ml.jobs.joining"]])
def test_a_helper_of_the_server_goes_after_it(helper: list[str]) -> None:
    assert reaches(HELPER, ["-m", *helper])


def test_a_run_of_the_command_goes_after_both(tmp_path: Path) -> None:
    command = "from orchestration.cli import main; main()"
    given = ["run", "--source", "sample:clients=20", "--models", "churn"]
    assert reaches(RUN, ["-c", command, *given], SEVENFOLD_HOME=str(tmp_path))


def test_a_launched_run_goes_after_both(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    job = ["-m", "tests.orchestration.waiting_job", "-j", "waiting"]
    assert reaches(
        RUN,
        ["-m", "dagster", "job", "execute", *job],
        DAGSTER_HOME=str(tmp_path),
        WAITING_BEGAN=str(tmp_path / "began"),
    )


def test_stepping_aside_never_raises_a_priority() -> None:
    found = []

    def nicest() -> None:
        for niceness in (12, RUN):
            step_aside(niceness)
            found.append(os.getpriority(os.PRIO_PROCESS, 0))

    # Linux keeps a niceness for each thread: the tests' own stays as it is.
    thread = threading.Thread(target=nicest)
    thread.start()
    thread.join()
    assert found == [12, 12]
