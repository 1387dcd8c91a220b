"""What every benchmark shares: timing, peak memory, a process for each measurement, rows, a CLI."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

PROJECT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What a call took: wall-clock seconds, CPU seconds of all threads, peak memory of its process.

    ``cpu`` is None where the work happens in another process, such as a database server.
    """

    seconds: float
    cpu: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True)
class Goal:
    """``faster``: at least ``limit`` times as fast; else at most ``limit`` times the time."""

    limit: float
    faster: bool

    def text(self) -> str:
        return f"≥ {self.limit:g} × faster" if self.faster else f"≤ {self.limit:g} × the time"


def at_least(times_faster: float) -> Goal:
    """Ours takes at most the baseline's time divided by this."""
    return Goal(times_faster, True)


def at_most(times_the_time: float) -> Goal:
    """Ours takes at most the baseline's time multiplied by this."""
    return Goal(times_the_time, False)


@dataclass(frozen=True)
class Row:
    """One line of the table; ``problem`` says why there is no figure."""

    what: str
    baseline: str = ""
    ours: Cost | None = None
    theirs: Cost | None = None
    goal: Goal | None = None
    peak_goal_mb: float | None = None
    problem: str = ""

    @property
    def ratio(self) -> float | None:
        """Times faster where the goal says so, else times the baseline's time."""
        if self.ours is None or self.theirs is None:
            return None
        return self._ratio(self.ours.seconds, self.theirs.seconds)

    @property
    def cpu_ratio(self) -> float | None:
        """The same of CPU seconds: less moved by neighbours on a busy machine."""
        if self.ours is None or self.theirs is None or not (self.ours.cpu and self.theirs.cpu):
            return None
        return self._ratio(self.ours.cpu, self.theirs.cpu)

    def _ratio(self, ours: float, theirs: float) -> float:
        return theirs / ours if self.goal and self.goal.faster else ours / theirs

    @property
    def held(self) -> bool | None:
        """Whether every goal of the row is met; None where it has none."""
        verdicts = []
        if self.goal is not None and self.ratio is not None:
            inside = self.ratio >= self.goal.limit
            verdicts.append(inside if self.goal.faster else self.ratio <= self.goal.limit)
        if self.peak_goal_mb is not None and self.ours and self.ours.peak_mb is not None:
            verdicts.append(self.ours.peak_mb <= self.peak_goal_mb)
        return all(verdicts) if verdicts else None

    def cells(self, judged: bool = True) -> list[str]:
        """The texts of the row, in the order of ``HEADER``; goals hold for full sizes alone."""
        if self.problem:
            return [self.what, self.baseline, "", "", "", "", "", self.problem, ""]
        unit = "× faster" if self.goal and self.goal.faster else "× the time"
        goals = [self.goal.text()] if self.goal else []
        if self.peak_goal_mb is not None:
            goals.append(f"≤ {self.peak_goal_mb:,.0f} MB")
        held = {True: "yes", False: "**no**", None: ""}[self.held if judged else None]
        peak = self.ours.peak_mb if self.ours else None
        return [
            self.what,
            self.baseline,
            _seconds(self.ours),
            _seconds(self.theirs),
            "" if self.ratio is None else f"{self.ratio:.2f} {unit}",
            "" if self.cpu_ratio is None else f"{self.cpu_ratio:.2f}",
            ", ".join(goals),
            held,
            "" if peak is None else f"{peak:,.0f} MB",
        ]


HEADER = ["what", "baseline", "ours", "baseline's", "ratio", "of CPU", "goal", "held?", "peak"]


def _seconds(cost: Cost | None) -> str:
    if cost is None:
        return ""
    if cost.seconds < 0.01:
        return f"{cost.seconds * 1000:.3g} ms"
    return f"{cost.seconds:,.1f} s" if cost.seconds >= 10 else f"{cost.seconds:.3g} s"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, aligned so that it reads on a terminal too."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(map(str.ljust, line, widths)) + " |"  # one line, one row
        for line in lines
    )


def peak_mb() -> float:
    """Peak resident memory of this process since it began, in MB.

    Linux hands a parent's ``ru_maxrss`` on to its children, so its own high-water mark is read
    instead; elsewhere ``ru_maxrss`` is all there is.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return _mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _mb(maxrss: int) -> float:
    return maxrss / 1024**2 if sys.platform == "darwin" else maxrss / 1024


def timed(call: Callable[[], T]) -> tuple[T, Cost]:
    """What the call gives, and what it took in this process."""
    started, worked = time.perf_counter(), time.process_time()
    value = call()
    cost = Cost(time.perf_counter() - started, time.process_time() - worked, peak_mb())
    return value, cost


def best_of(*calls: Callable[[], Any], times: int) -> list[Cost]:
    """The quickest run of each call; they take turns, so that a busy neighbour hits all alike."""
    taken: list[list[Cost]] = [[] for _ in calls]
    for _ in range(times):
        for call, costs in zip(calls, taken, strict=True):
            costs.append(timed(call)[1])
    return [best(costs) for costs in taken]


def best(costs: Iterable[Cost]) -> Cost:
    """The quickest."""
    return min(costs, key=lambda cost: cost.seconds)


def isolated(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function of a module in a fresh, spawned process, so that peaks do not mix."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def command(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[str, str, Cost]:
    """Run a program from the project's folder: its output, its messages, and what it took.

    Raises RuntimeError with its last messages if it fails.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as messages:
        started = time.perf_counter()
        child = subprocess.Popen(
            arguments,
            cwd=PROJECT,
            env=os.environ | dict(environment or {}),
            stdout=out,
            stderr=messages,
        )
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, messages):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    if child.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with status {child.returncode}: {texts[1][-2000:]}"
        )
    cost = Cost(seconds, used.ru_utime + used.ru_stime, _mb(used.ru_maxrss))
    return texts[0], texts[1], cost


def sevenfold(*arguments: str) -> tuple[str, str, Cost]:
    """Run the ``sevenfold`` command in a process of its own."""
    start = "from orchestration.cli import main; main()"
    # a wide screen keeps each printed step on one line
    return command([sys.executable, "-c", start, *arguments], {"COLUMNS": "200", "NO_COLOR": "1"})


Sizes = Mapping[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: ``run`` yields rows and takes the sizes by name.

    ``quick`` and ``large`` replace some of the ``full`` sizes; ``minutes`` is its time-out.
    """

    name: str
    question: str
    run: Callable[..., Iterator[Row]]
    full: Sizes
    quick: Sizes = field(default_factory=dict)
    large: Sizes = field(default_factory=dict)
    minutes: float = 10

    def sizes(self, quick: bool = False, large: bool = False) -> dict[str, Any]:
        """The sizes of a run."""
        return {**self.full, **(self.large if large else {}), **(self.quick if quick else {})}

    def main(self) -> int:
        """The command line of one benchmark: every size is an option."""
        parser = argparse.ArgumentParser(description=self.question)
        parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
        parser.add_argument("--large", action="store_true", help="sizes that take much longer")
        for name, value in self.full.items():
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            parser.add_argument(f"--{name.replace('_', '-')}", type=_like(value), metavar=shown)
        given = vars(parser.parse_args())
        sizes = self.sizes(given.pop("quick"), given.pop("large"))
        sizes |= {name: value for name, value in given.items() if value is not None}
        rows = []
        for row in self.run(**sizes):
            sys.stderr.write(f"{row.what}: {row.cells()[4]}\n")
            rows.append(row.cells())
        sys.stdout.write(table(HEADER, rows) + "\n")
        return 0


def _like(value: Any) -> Callable[[str], Any]:
    if isinstance(value, tuple):
        return lambda text: tuple(int(part) for part in text.split(","))
    return type(value)
