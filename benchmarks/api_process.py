"""Servers as processes of their own: started, measured, and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.api_client import Line, request
from benchmarks.harness import PROJECT

START_SECONDS = 90
GRACE_SECONDS = 10
AGAIN_SECONDS = 0.001
SETTLE_SECONDS = 30
LOOK_SECONDS = 0.5
IDLE_SHARE = 0.1
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A server that answers on ``port``; ``ready`` is its first answer, after ``seconds``."""

    process: psutil.Process
    port: int
    ready: bytes
    seconds: float

    def cpu(self) -> float:
        """CPU seconds so far, of the process and all that it started."""
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            # One that ended meanwhile has no clock any more.
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                total += _cpu(process)
        return total

    def settle(self) -> None:
        """Wait until what goes on after a start is over, such as workers that warm up."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            before = self.cpu()
            time.sleep(LOOK_SECONDS)
            if self.cpu() - before < IDLE_SHARE * LOOK_SECONDS:
                return

    def peak_mb(self) -> float | None:
        """Peak resident memory of the process itself; None where the system does not tell."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return None
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024


def _cpu(process: psutil.Process) -> float:
    """CPU seconds of one process."""
    if sys.platform == "linux":
        # What clock_getcpuclockid(3) gives: nanoseconds, where cpu_times() counts in hundredths.
        return time.clock_gettime((~process.pid << 3) | 2)
    times = process.cpu_times()
    return float(times.user + times.system)


def uvicorn(application: str, port: int, *options: str) -> list[str]:
    """The command that serves an application as ``sevenfold serve`` does, in this environment."""
    return [
        *(sys.executable, "-m", "uvicorn", application, "--host", HOST, "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--log-level", "warning"),
        *("--no-access-log", "--no-server-header", *options),
    ]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def one_threaded(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of Sevenfold, one thread a model, and these."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SEVENFOLD_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SEVENFOLD_THREADS"), "1")
    return kept | threads | dict(environment)


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    ready: str,
    environment: Mapping[str, str],
    folder: Path = PROJECT,
) -> Iterator[Server]:
    """A server from its start to the end of the block; its messages go to a file.

    Raises RuntimeError with its last messages where it ends, or does not answer ``ready`` in time.
    """
    with tempfile.TemporaryFile() as messages:
        started = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=one_threaded(environment),
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
        )
        try:
            answer = _first_answer(child, port, request("GET", ready), started)
            if answer is None:
                messages.seek(0)
                said = messages.read().decode(errors="replace")[-1500:]
                raise RuntimeError(f"{' '.join(command[:4])} … did not start: {said}")
            seconds = time.perf_counter() - started
            yield Server(psutil.Process(child.pid), port, answer, seconds)
        finally:
            _end(child)


def _first_answer(
    child: subprocess.Popen[bytes], port: int, ready: bytes, started: float
) -> bytes | None:
    while child.poll() is None and time.perf_counter() < started + START_SECONDS:
        try:
            with Line(port) as line:
                return line.ask(ready)
        except (OSError, RuntimeError):
            # Not listening yet, or answering that it is not ready yet.
            time.sleep(AGAIN_SECONDS)
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, gently first."""
    try:
        others = psutil.Process(child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        others = []
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for process in others:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(others, timeout=1)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(others, timeout=GRACE_SECONDS)
