"""The API's memory while bulk files stream: ``python -m benchmarks.bulk_http --home HOME``.

HOME is one with champions (``sevenfold run``), and no Dagster runs on it. A server of it is sent a
large CSV, plain, as a form and as gzip; then a job over many rows is answered in this process, and
its results are fetched in each form. Told are the server's resident memory at its peak so far, that
of the process that writes results, and megabytes a second. Other work on the machine slows it down.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from benchmarks.api_process import HOST, Server, free_port, serving

MIB = 1024 * 1024
ROUTE = "/api/churn/bulk"
LOOK_SECONDS = 0.02
AT_ONCE = 16


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk_http")
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--megabytes", default=300, type=int)
    parser.add_argument("--rows", default=1_000_000, type=int)
    asked = parser.parse_args()
    home = asked.home.resolve()
    os.environ["SEVENFOLD_HOME"] = str(home)
    key = _key()
    port = free_port()
    command = [sys.executable, "-m", "api", "--port", str(port)]
    with serving(command, port, "/api/health/ready", {"SEVENFOLD_HOME": str(home)}) as server:
        server.settle()
        base = f"http://{HOST}:{port}"
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=base, headers=headers, timeout=600) as client:
            _say("idle", server, None, 0.0, 0.0)
            _uploads(client, server, asked.megabytes)
            _at_once(client, server, asked.megabytes)
            _results(client, server, asked.rows)
            maps = Path(f"/proc/{server.process.pid}/maps").read_text()
            print("Arrow was loaded" if "libarrow" in maps else "Arrow was never loaded")


def _uploads(client: httpx.Client, server: Server, megabytes: int) -> None:
    block = b"".join(b"C%07d,%d\n" % (number, number % 400) for number in range(60_000))
    body = b"client_id,features.days_since_purchase\n" + block * (megabytes * MIB // len(block))
    packed = gzip.compress(body, 1)
    boundary = b"--seam\r\nContent-Disposition: form-data; name=f; filename=a.csv\r\n\r\n"
    form = boundary + body + b"\r\n--seam--\r\n"
    for name, sent, kind, encoding in (
        ("upload, CSV", body, "text/csv", "identity"),
        ("upload, CSV in a form", form, "multipart/form-data; boundary=seam", "identity"),
        ("upload, CSV in gzip", packed, "text/csv", "gzip"),
    ):
        started = time.perf_counter()
        answer = client.post(
            ROUTE,
            content=_pieces(sent),
            headers={"Content-Type": kind, "Content-Encoding": encoding},
        )
        seconds = time.perf_counter() - started
        assert answer.status_code == 202, answer.text
        _say(name, server, None, len(sent) / MIB, seconds)
        client.delete(answer.json()["links"]["self"])


def _at_once(client: httpx.Client, server: Server, megabytes: int) -> None:
    """Many uploads beside each other, and how long a small call takes meanwhile."""
    body = b"client_id\n" + b"C0000001\n" * (megabytes * MIB // AT_ONCE // 9)
    csv = {"Content-Type": "text/csv"}
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = [
            pool.submit(client.post, ROUTE, content=_pieces(body), headers=csv)
            for _ in range(AT_ONCE)
        ]
        took: list[float] = []
        while not all(one.done() for one in sent):
            begun = time.perf_counter()
            assert client.get("/api/churn/latest/C0000001").status_code == 200
            took.append(1000 * (time.perf_counter() - begun))
    seconds = time.perf_counter() - started
    _say(f"{AT_ONCE} uploads at once", server, None, AT_ONCE * len(body) / MIB, seconds)
    took.sort()
    print(f"a read meanwhile: median {took[len(took) // 2]:.0f} ms, slowest {took[-1]:.0f} ms")
    for one in sent:
        client.delete(one.result().json()["links"]["self"])


def _results(client: httpx.Client, server: Server, rows: int) -> None:
    from ml.jobs.bulk import run_bulk
    from ml.jobs.lease import LEASE
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing
    from warehouse.repositories import job_leases

    lines = (b"C%07d,%d\n" % (number % 200 + 1, number % 400) for number in range(rows))
    body = b"client_id,features.days_since_purchase\n" + b"".join(lines)
    answer = client.post(ROUTE, content=_pieces(body), headers={"Content-Type": "text/csv"})
    job_id = answer.json()["id"]
    workspace = Workspace.open()
    with writing(workspace.engine) as connection:
        [claimed] = job_leases.claim(connection, "bulk", utc_now(), LEASE)
    ended = run_bulk(workspace, job_id, claimed.attempt, "benchmark")
    assert ended.state == "completed", ended.error
    print(f"a job of {ended.rows_ok:,} rows, {ended.rows_error:,} with an error")
    for form in ("csv", "ndjson", "parquet"):
        watched = _Watched(server)
        started, size = time.perf_counter(), 0
        with client.stream("GET", f"/api/jobs/{job_id}/results", params={"format": form}) as got:
            for piece in got.iter_raw():
                size += len(piece)
        seconds = time.perf_counter() - started
        _say(f"results, {form}", server, watched.peak(), size / MIB, seconds)


class _Watched:
    """The largest memory of any process that the server started for results."""

    def __init__(self, server: Server) -> None:
        self._server, self._most, self._ended = server, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def peak(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._most / MIB

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for process in self._server.process.children():
                try:
                    if "ml.jobs.joining" in process.cmdline():
                        self._most = max(self._most, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), MIB):
        yield body[start : start + MIB]


def _say(what: str, server: Server, other: float | None, size: float, seconds: float) -> None:
    peak = server.peak_mb()
    beside = "" if other is None else f", the process beside it {other:.0f} MiB"
    speed = f", {size:.0f} MiB at {size / seconds:.0f} MiB/s" if seconds else ""
    print(f"{what}: the server's peak is {peak:.0f} MiB{beside}{speed}", flush=True)


def _key() -> str:
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing
    from warehouse.repositories import keys

    workspace = Workspace.open()
    with writing(workspace.engine) as connection:
        _, text = keys.create(
            connection, owner="benchmark", name="bulk", role="write", tier="unlimited",
            created_by="here",
        )  # fmt: skip
    workspace.engine.dispose()
    return text


if __name__ == "__main__":
    main()
