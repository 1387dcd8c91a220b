"""Other servers with the same trees, as their own documentation starts them, one process each.

Each gets the champion's trees in LightGBM's text format and a row of ready numbers; each answers
the trees' probability, which is checked. The environments of three of them are made once, with
uv, in a folder of the user's cache; FastAPI runs in the project's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from math import log
from pathlib import Path
from typing import Any

from benchmarks.api_client import Line, request
from benchmarks.api_process import HOST, Server, free_port, serving, uvicorn
from benchmarks.harness import PROJECT

FOLDER = Path(__file__).parent / "peers"
INSTALL_SECONDS = 900
SAVE_SECONDS = 120
TOLERANCE = 1e-9
QUIET = {
    # None of them is to tell anybody that it runs here.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "true",
}


class PeerError(RuntimeError):
    """A peer that cannot be measured, and why."""


@dataclass(frozen=True)
class Start:
    """How a peer is started: its command, the folder it stands in, what its environment holds."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Peer:
    """One server: ``pins`` names its environment (None: the project's own).

    ``start`` is given the environment's programs, the trees, a folder to write to and a port;
    ``body`` makes a request of a row, ``value`` reads the probability from an answer.
    """

    name: str
    pins: str | None
    ready: str
    path: str
    start: Callable[[Path, Path, Path, int], Start]
    body: Callable[[Sequence[float]], Any]
    value: Callable[[Any], float]

    def asked(self, row: Sequence[float]) -> bytes:
        """The request about one row."""
        return request("POST", self.path, body=json.dumps(self.body(row)).encode())

    def check(self, server: Server, rows: Sequence[Sequence[float]], raw: Sequence[float]) -> None:
        """PeerError where an answer is not the trees' own: ``raw`` is their sum for each row."""
        with Line(server.port) as line:
            for row, expected in zip(rows, raw, strict=True):
                probability = self.value(json.loads(line.ask(self.asked(row))))
                found = log(probability / (1 - probability))
                if abs(found - expected) > TOLERANCE:
                    raise PeerError(f"{self.name}: answers {found!r}, the trees say {expected!r}")


@contextmanager
def running(peer: Peer, cache: Path, trees: Path, folder: Path, make: bool) -> Iterator[Server]:
    """A peer that serves these trees; PeerError where it cannot be."""
    programs = Path(sys.executable).parent if peer.pins is None else _programs(peer, cache, make)
    port = free_port()
    folder.mkdir()
    try:
        start = peer.start(programs, trees, folder, port)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"{peer.name}: cannot be prepared: {_said(error)}") from error
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**QUIET, "PATH": path, "PEER_MODEL": str(trees), **start.environment}
    with serving(start.command, port, peer.ready, environment, start.folder) as server:
        yield server


def default_cache() -> Path:
    """The folder of the peers' environments, outside the project and used again."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "sevenfold" / "bench-api"


def _programs(peer: Peer, cache: Path, make: bool) -> Path:
    """The programs of a peer's environment, which is made where it is missing."""
    pins = FOLDER / f"{peer.pins}.txt"
    mark = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = cache / f"{peer.pins}-{mark}"
    done = home / "complete"
    if not done.exists():
        if not make:
            raise PeerError(f"{peer.name}: no environment yet, and tiny sizes make none")
        python = str(home / "bin" / "python")
        try:
            _uv("venv", "--clear", "--python", sys.executable, str(home))
            _uv("pip", "install", "--python", python, "--requirement", str(pins))
        except (OSError, subprocess.SubprocessError) as error:
            raise PeerError(f"{peer.name}: no environment: {_said(error)}") from error
        done.touch()
    return home / "bin"


def _uv(*arguments: str) -> None:
    own = PROJECT / ".venv" / "uv"
    program = str(own) if own.exists() else "uv"
    _run([program, *arguments, "--quiet"], INSTALL_SECONDS)


def _run(command: Sequence[str], seconds: float, environment: Mapping[str, str] = {}) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=os.environ | dict(environment),
    )


def _said(error: Exception) -> str:
    """The last of what a program said before it failed."""
    if isinstance(error, subprocess.CalledProcessError):
        return " ".join(str(error.stderr).split())[-300:]
    return str(error)


def _pinned(pins: str, package: str) -> str:
    lines = (FOLDER / f"{pins}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def _fastapi(programs: Path, trees: Path, folder: Path, port: int) -> Start:
    command = uvicorn("fastapi_app:app", port, "--app-dir", str(FOLDER))
    return Start(command, folder, {})


def _mlserver(workers: int) -> Callable[[Path, Path, Path, int], Start]:
    def start(programs: Path, trees: Path, folder: Path, port: int) -> Start:
        settings = {
            "host": HOST,
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "debug": False,
            "parallel_workers": workers,
        }
        model = {
            "name": "churn",
            "implementation": "mlserver_lightgbm.LightGBMModel",
            "parameters": {"uri": str(trees)},
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        return Start([str(programs / "mlserver"), "start", str(folder)], folder, {})

    return start


def _bentoml(programs: Path, trees: Path, folder: Path, port: int) -> Start:
    command = [
        *(str(programs / "bentoml"), "serve", "bentoml_service:Trees", "--host", HOST),
        *("--port", str(port), "--working-dir", str(FOLDER)),
    ]
    return Start(command, folder, {"BENTOML_HOME": str(folder)})


def _mlflow(programs: Path, trees: Path, folder: Path, port: int) -> Start:
    saved = str(folder / "model")
    script = str(FOLDER / "mlflow_model.py")
    _run([str(programs / "python"), script, str(trees), saved], SAVE_SECONDS, QUIET)
    command = [
        *(str(programs / "mlflow"), "models", "serve", "--model-uri", saved, "--host", HOST),
        *("--port", str(port), "--env-manager", "local", "--workers", "1"),
    ]
    return Start(command, folder, {})


def _tensor(row: Sequence[float]) -> dict[str, Any]:
    shape = [1, len(row)]
    return {"inputs": [{"name": "rows", "shape": shape, "datatype": "FP64", "data": list(row)}]}


def _mlserver_peer(note: str, workers: int) -> Peer:
    return Peer(
        name=f"MLServer {_pinned('mlserver', 'mlserver')} ({note})",
        pins="mlserver",
        ready="/v2/models/churn/ready",
        path="/v2/models/churn/infer",
        start=_mlserver(workers),
        body=_tensor,
        value=lambda answer: answer["outputs"][0]["data"][0],
    )


PEERS = {
    "fastapi": Peer(
        name=f"FastAPI {version('fastapi')}, DataFrame, LGBMClassifier",
        pins=None,
        ready="/openapi.json",
        path="/predict",
        start=_fastapi,
        body=lambda row: {f"Column_{place}": value for place, value in enumerate(row)},
        value=lambda answer: answer["probability"],
    ),
    "mlserver": _mlserver_peer("as it comes", 1),
    "mlserver-inline": _mlserver_peer("no workers", 0),
    "bentoml": Peer(
        name=f"BentoML {_pinned('bentoml', 'bentoml')}",
        pins="bentoml",
        ready="/readyz",
        path="/predict",
        start=_bentoml,
        body=lambda row: {"rows": [list(row)]},
        value=lambda answer: answer[0],
    ),
    "mlflow": Peer(
        name=f"MLflow {_pinned('mlflow', 'mlflow')}",
        pins="mlflow",
        ready="/ping",
        path="/invocations",
        start=_mlflow,
        body=lambda row: {"inputs": [list(row)]},
        value=lambda answer: answer["predictions"][0],
    ),
}
