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


def serve_all(api_host: str, api_port: int, dagster_port: int) -> int:
    """Run until one child ends or Ctrl-C; returns the exit status.

    Dagster's webserver has no login, so it listens on this machine alone; the API asks for keys,
    and listens where ``SEVENFOLD_API_HOST`` says.
    """
    settings = WarehouseSettings()
    prepare_dagster_home(settings)
    first_key = _prepare(settings)
    binaries = Path(sys.executable).parent
    workspace = str(PROJECT / "workspace.yaml")
    commands = {
        "Dagster UI": [
            *(str(binaries / "dagster-webserver"), "-h", LOCAL, "-p", str(dagster_port)),
            *("-w", workspace),
        ],
        "Dagster daemon": [str(binaries / "dagster-daemon"), "run", "-w", workspace],
        "API": [
            *(sys.executable, "-m", "api", "--host", api_host, "--port", str(api_port)),
        ],
    }
    children = {
        name: subprocess.Popen(command, cwd=PROJECT, env=os.environ.copy())
        for name, command in commands.items()
    }
    note(f"Dagster UI: http://localhost:{dagster_port}   API: http://localhost:{api_port}/docs")
    if first_key is not None:
        note(f"An admin key was made for this home; it is shown this once:\n\n    {first_key}\n")
        note("`sevenfold keys create --role admin` on this machine always makes another.")
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


def _prepare(settings: WarehouseSettings) -> str | None:
    """Bring the warehouse up to date; a first admin key where there never was a key."""
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing
    from warehouse.repositories import audit, keys

    engine = Workspace.open(settings).engine
    text = None
    with writing(engine) as connection:
        if not keys.all_keys(connection, include_revoked=True):
            key, text = keys.create(
                connection,
                owner="local",
                name="first key",
                role="admin",
                tier="standard",
                created_by="serve",
            )
            audit.append(connection, "serve", "key.create", key.id, {"owner": "local"})
    engine.dispose()
    return text
