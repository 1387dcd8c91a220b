"""All benchmarks in one go, each in a process of its own: ``python -m benchmarks [names]``.

``--write docs/benchmarks.md`` replaces the figures of that page between its marks. ``api`` makes
environments of other servers: it runs where it is named, alone, and has marks of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import HEADER, table
from benchmarks.runner import benchmark, measure

# Cheap ones first: a run that is stopped early has something to say.
NAMES = (
    *("load", "scoring", "bulk_write", "bulk_file"),
    *("ingest", "backfill", "features", "pipeline"),
)
APART = ("api",)
KNOWN = (*NAMES, *APART)
PACKAGES = (
    *("numpy", "pandas", "pyarrow", "duckdb", "polars", "lightgbm"),
    *("sqlalchemy", "psycopg", "deltalake", "great-expectations", "dagster"),
    *("fastapi", "pydantic", "uvicorn"),
)
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
API_BEGIN, API_END = "<!-- bench-api:begin -->", "<!-- bench-api:end -->"
BUSY_LOAD = 0.5


def machine(load: float, quick: bool, minutes: float) -> str:
    """What the figures were measured on, and when."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":")[1].strip() if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    threads = os.environ.get("SEVENFOLD_THREADS") or os.environ.get("OMP_NUM_THREADS") or "2"
    busy = load > BUSY_LOAD
    return (
        f"{date.today()}, {os.cpu_count()} cores of {cpu}, {memory:.0f} GB, {platform.system()};"
        f" load average {load:.2f} before and {os.getloadavg()[0]:.2f} after"
        f"{' (**under load**: other work shared the machine)' if busy else ''};"
        f" {threads} threads a model; {minutes:.0f} minutes in all"
        f"{'; tiny sizes, which no goal is meant for' if quick else ''}."
        f" Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in PACKAGES)
        + "."
    )


def replace_block(page: Path, block: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the block between the page's marks."""
    head, _, rest = page.read_text().partition(begin)
    tail = rest.partition(end)[2]
    page.write_text(f"{head}{begin}\n{block}\n{end}{tail}")


def main() -> int:
    """Measure, print the table; 1 if a benchmark failed. A goal that is missed is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(KNOWN)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--large", action="store_true", help="also sizes that take much longer")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace this page's figures")
    given = parser.parse_args()
    names = [name.replace("-", "_").removeprefix("bench_") for name in given.names] or list(NAMES)
    unknown = [name for name in names if name not in KNOWN]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    apart = set(names) & set(APART)
    if apart and len(names) > 1:
        parser.error(f"{', '.join(apart)} is measured alone: name nothing else beside it")
    marks = (API_BEGIN, API_END) if apart else (BEGIN, END)
    if given.write and not _has_marks(given.write, *marks):
        parser.error(f"{given.write} needs the lines {' and '.join(marks)}, in this order")
    load, started = os.getloadavg()[0], time.monotonic()
    mark = " (under load)" if load > BUSY_LOAD else ""
    cells, failed = [], False
    for name in names:
        chosen = benchmark(name)
        sizes = chosen.sizes(given.quick, given.large)
        minutes = chosen.minutes * (4 if given.large else 1)
        for row in measure(name, sizes, minutes):
            failed |= bool(row.problem)
            what, *others = row.cells(judged=not given.quick)
            cells.append([name, what + mark, *others])
            sys.stderr.write(f"{name}: {what}: {row.problem or others[3] or others[1]}\n")
    found = table(["name", *HEADER], cells)
    about = machine(load, given.quick, (time.monotonic() - started) / 60)
    sys.stdout.write(f"{about}\n\n{found}\n")
    if given.write:
        replace_block(given.write, f"{about}\n\n{found}", *marks)
    return 1 if failed else 0


def _has_marks(page: Path, begin: str, end: str) -> bool:
    return page.is_file() and end in page.read_text().partition(begin)[2]


if __name__ == "__main__":
    sys.exit(main())
