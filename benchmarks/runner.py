"""Runs a benchmark in a process of its own: rows as they come, failures and time-outs as rows."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.harness import Benchmark, Row

GRACE_SECONDS = 15


def benchmark(name: str) -> Benchmark:
    """The declaration in ``benchmarks/bench_<name>.py``."""
    declared: Benchmark = importlib.import_module(f"benchmarks.bench_{name}").BENCHMARK
    return declared


def _run(name: str, sizes: dict[str, Any], sender: Connection) -> None:
    # A session of its own: whatever it starts can be ended with it. SIGTERM becomes an exit, so
    # that temporary folders and servers are cleaned away.
    os.setsid()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(1))
    try:
        for row in benchmark(name).run(**sizes):
            sender.send(row)
        sender.send(None)
    except Exception as error:
        sender.send(Row(name, problem=_one_line(f"failed: {type(error).__name__}: {error}")))
        raise


def _one_line(text: str) -> str:
    short = " ".join(text.replace("|", "/").split())
    return short if len(short) <= 160 else short[:159] + "…"


def measure(name: str, sizes: dict[str, Any], minutes: float) -> Iterator[Row]:
    """The rows of a benchmark as they come; a failure or a time-out is the last row."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    child = spawn.Process(target=_run, args=(name, sizes, sender))
    child.start()
    sender.close()
    deadline = time.monotonic() + minutes * 60
    try:
        while receiver.poll(max(0.0, deadline - time.monotonic())):
            row = receiver.recv()
            if row is None:
                child.join(GRACE_SECONDS)
                return
            yield row
            if row.problem.startswith("failed"):
                return
        yield Row(name, problem=f"timed out after {minutes:g} minutes")
    except EOFError:
        child.join(GRACE_SECONDS)
        yield Row(name, problem=f"failed: its process ended with status {child.exitcode}")
    finally:
        receiver.close()
        _end(child)


def _end(child: multiprocessing.process.BaseProcess) -> None:
    """End the child and what it started, if it has not ended by itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not child.is_alive() or child.pid is None:
            return
        os.killpg(child.pid, number) if os.getpgid(child.pid) == child.pid else child.kill()
        child.join(GRACE_SECONDS)
