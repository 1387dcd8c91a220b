"""The services of ``serve``: Dagster's UI and daemon, and the API, as child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from orchestration.commands.output import note
from orchestration.resources import prepare_dagster_home
from warehouse.settings import PROJECT, WarehouseSettings

GRACE_SECONDS = 15
LOCAL = "127.0.0.1"


def serve_all(api_port: int, dagster_port: int) -> int:
    """Run until one child ends or Ctrl-C; returns the exit status.

    Dagster's webserver has no login, and the API of this version has no keys yet, so both listen
    on this machine alone.
    """
    settings = WarehouseSettings()
    prepare_dagster_home(settings)
    _migrate(settings)
    binaries = Path(sys.executable).parent
    workspace = str(PROJECT / "workspace.yaml")
    commands = {
        "Dagster UI": [
            *(str(binaries / "dagster-webserver"), "-h", LOCAL, "-p", str(dagster_port)),
            *("-w", workspace),
        ],
        "Dagster daemon": [str(binaries / "dagster-daemon"), "run", "-w", workspace],
        "API": [
            *(sys.executable, "-m", "uvicorn", "api.main:create_app", "--factory"),
            *("--host", LOCAL, "--port", str(api_port)),
        ],
    }
    children = {
        name: subprocess.Popen(command, cwd=PROJECT, env=os.environ.copy())
        for name, command in commands.items()
    }
    note(f"Dagster UI: http://localhost:{dagster_port}   API: http://localhost:{api_port}/docs")
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    while not stopping:
        ended = {name: child.poll() for name, child in children.items()}
        for name, code in ended.items():
            if code is not None:
                note(f"{name} ended with status {code}; stopping the others")
                _stop(children)
                return code or 1
        time.sleep(0.3)
    _stop(children)
    return 0


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children.values():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _migrate(settings: WarehouseSettings) -> None:
    from ml.lifecycle.workspace import Workspace

    Workspace.open(settings).engine.dispose()
