"""The API under load: ``python -m benchmarks.load --home HOME``.

First 200 kept-alive connections, 300 requests a second for a minute in an open loop (a request
starts when it is due, whether the ones before were answered or not, and its time counts from then),
reads and predictions mixed, while a training runs on the same machine. Then more and more requests,
until the server says 503 or 429; then few again, to see that it recovers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PORT = 8123
CONNECTIONS = 200
ANSWER_SECONDS = 20.0
PROBE_SECONDS = 0.1
BROKEN_MS = 2000.0
"""A median above it is the breaking point, as is one answer in twenty that says 503 or 429."""
TRAININGS = """
import subprocess, sys
run = "from orchestration.cli import main; main()"
while True:
    subprocess.run([sys.executable, "-c", run, "run", "--train", "--models", "profitability,churn"])
"""


@dataclass
class Seen:
    """What became of the requests of one phase."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    def percentile(self, share: float) -> float:
        """That share of requests took at most this long, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def line(self, rate: float) -> str:
        """One row of the table."""
        statuses = ", ".join(f"{code}: {count}" for code, count in sorted(self.statuses.items()))
        return (
            f"| {rate:,.0f} | {len(self.seconds):,} | {statuses} | {self.broken} |"
            f" {self.percentile(0.5):.1f} | {self.percentile(0.99):.1f}"
            f" | {max(self.seconds) * 1000:.0f} |"
        )


class Connection:
    """One kept-alive connection, opened again where the server closed it."""

    def __init__(self) -> None:
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request, read its whole answer, return the status."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)
        assert self.reader is not None
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        await self.reader.readexactly(lengths[0] if lengths else 0)
        if b"connection: close" in lines:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def request(method: str, path: str, key: str, body: object = None) -> bytes:
    """A whole request as bytes."""
    text = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def mixture(key: str, clients: Sequence[str]) -> list[bytes]:
    """Half reads, half predictions; one in a hundred needs a worker process."""
    found = []
    for number, client in enumerate(clients):
        found += [
            request("GET", f"/api/churn/latest/{client}", key),
            request("POST", "/api/churn?reasons=false", key, {"client_id": client}),
            request("GET", "/api/profitability/latest?limit=20&sort=-expected_margin", key),
            request("POST", "/api/profitability", key, {"client_id": client}),
            request("GET", f"/api/predictions?client_id={client}", key),
            request("POST", "/api/pricing", key, {"service_id": "S02", "segment": "mid"}),
        ]
        if number % 16 == 0:
            found.append(request("POST", "/api/budget", key, {"total": 25000, "periods": 4}))
    return found


async def offer(requests: Sequence[bytes], rate: float, seconds: float) -> Seen:
    """Requests at this rate, each on the next free connection, timed from when it was due."""
    seen = Seen()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Connection())
    start = time.perf_counter() + 0.1

    async def one(number: int) -> None:
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await free.get()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                seen.statuses[await connection.ask(requests[number % len(requests)])] += 1
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            seen.broken += 1
            connection.close()
        seen.seconds.append(time.perf_counter() - due)
        free.put_nowait(connection)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    while not free.empty():
        free.get_nowait().close()
    return seen


async def probe(stop: asyncio.Event) -> Seen:
    """``/api/health/live`` ten times a second, on a connection of its own."""
    seen, connection = Seen(), Connection()
    live = request("GET", "/api/health/live", "none")
    while not stop.is_set():
        started = time.perf_counter()
        seen.statuses[await connection.ask(live)] += 1
        seen.seconds.append(time.perf_counter() - started)
        await asyncio.sleep(PROBE_SECONDS)
    connection.close()
    return seen


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def measure(server: int, key: str, clients: Sequence[str], seconds: float) -> bool:
    """The minute, the way up, and the recovery; whether all of it held."""
    requests = mixture(key, clients)
    stop = asyncio.Event()
    watching = asyncio.create_task(probe(stop))
    running = asyncio.create_task(offer(requests, 300, seconds))
    await asyncio.sleep(seconds / 6)
    early = memory_mb(server)
    minute = await running
    late = memory_mb(server)
    stop.set()
    live = await watching
    growth = 100 * (late / early - 1)
    say("| requests a second | answered | statuses | broken | p50 ms | p99 ms | longest ms |")
    say("|---|---|---|---|---|---|---|")
    say(minute.line(300))
    say(f"\nlive: p99 {live.percentile(0.99):.1f} ms of {len(live.seconds)}; memory {early:.0f} MB"
        f" to {late:.0f} MB ({growth:+.1f} %)\n")  # fmt: skip
    held = set(minute.statuses) == {200} and not minute.broken
    held &= live.percentile(0.99) < 100 and growth < 5
    rate = 600.0
    while rate <= 20_000:
        seen = await offer(requests, rate, 8)
        say(seen.line(rate))
        held &= set(seen.statuses) <= {200, 429, 503} and not seen.broken
        if seen.percentile(0.5) > BROKEN_MS or refused(seen) > 0.05:
            break
        rate *= 1.6
    await asyncio.sleep(2)
    after = await offer(requests, 50, 5)
    say(after.line(50))
    held &= set(after.statuses) == {200}
    held &= after.percentile(0.5) < 10 * minute.percentile(0.5) + 20
    return held


def refused(seen: Seen) -> float:
    """The share of requests that were told to come back."""
    return (seen.statuses[503] + seen.statuses[429]) / max(len(seen.seconds), 1)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Start the server and a training, load them, stop them; 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="a home with scored models")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    environment = os.environ | {
        "SEVENFOLD_HOME": str(given.home.resolve()),
        "SEVENFOLD_API_LOG_FORMAT": "json",
        "SEVENFOLD_API_TIERS": "standard=600000/minute",
    }
    os.environ.update(environment)
    key, clients = prepare()
    serve = [sys.executable, "-m", "api", "--port", str(PORT)]
    # One training after the other, so that the machine is busy to the end.
    train = [sys.executable, "-c", TRAININGS]
    with Path(os.devnull).open("w") as nowhere:
        server = subprocess.Popen(serve, env=environment, stderr=nowhere, stdout=nowhere)
        training = subprocess.Popen(
            train,
            env=environment | {"SEVENFOLD_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
        try:
            wait(server)
            held = asyncio.run(measure(server.pid, key, clients, given.seconds))
        finally:
            os.killpg(training.pid, signal.SIGKILL)
            training.wait(30)
            server.terminate()
            server.wait(30)
    say("held" if held else "NOT held")
    return 0 if held else 1


def prepare() -> tuple[str, list[str]]:
    """A key of this home, and clients it has features of."""
    from sqlalchemy import select

    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading, writing
    from warehouse.repositories import keys
    from warehouse.tables import online_features

    engine = Workspace.open().engine
    with writing(engine) as connection:
        _, key = keys.create(
            connection,
            owner="load",
            name="load test",
            role="write",
            tier="standard",
            created_by="benchmarks",
        )
    with reading(engine) as connection:
        table = online_features.c
        query = select(table.entity).where(table.model == "churn").order_by(table.entity).limit(200)
        clients = [str(name) for name in connection.execute(query).scalars()]
    engine.dispose()
    return key, clients


def wait(server: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""

    async def once() -> int:
        return await Connection().ask(request("GET", "/api/health/ready", "none"))

    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError("the server did not start")
        try:
            if asyncio.run(once()) == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the server is not ready")


if __name__ == "__main__":
    sys.exit(main())
