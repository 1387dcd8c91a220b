"""The whole pipeline, ``sevenfold run`` on the sample firm: time, memory, and each step's share.

A size's baseline is the one before it, so a ratio tells how time grows: ten times the clients
should cost less than ten times the time. A step's baseline is the whole run of its size.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.harness import Benchmark, Cost, Row, sevenfold

STEP = re.compile(r"✓ (?P<name>.+) (?P<seconds>[\d.]+) s\s*$")


def steps(messages: str) -> list[tuple[str, float]]:
    """Each step that the command printed, with its seconds."""
    found = (STEP.search(line) for line in messages.splitlines())
    return [(match["name"], float(match["seconds"])) for match in found if match]


def run(clients: tuple[int, ...]) -> Iterator[Row]:
    """For each size: the whole, its steps, and a second run that finds nothing to do."""
    before: tuple[int, Cost] | None = None
    for count in clients:
        size = f"{count:,} clients"
        with tempfile.TemporaryDirectory() as home:
            call = ("run", "--source", f"sample:clients={count}", "--home", home)
            _, messages, whole = sevenfold(*call)
            smaller = (f"{before[0]:,} clients", before[1]) if before else ("", None)
            yield Row(f"first run, {size}", smaller[0], whole, smaller[1])
            for name, seconds in steps(messages):
                yield Row(f"{size}: {name}", "the whole run", Cost(seconds), whole)
            _, _, again = sevenfold(*call)
            yield Row(f"second run, {size}", "the first run", again, whole)
        before = count, whole


BENCHMARK = Benchmark(
    name="pipeline",
    question="Time and memory of the whole pipeline on the sample firm, step by step.",
    run=run,
    full={"clients": (1_000, 10_000)},
    quick={"clients": (60,)},
    large={"clients": (1_000, 10_000, 100_000)},
    minutes=20,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
