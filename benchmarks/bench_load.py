"""How long the Dagster code location takes to load, against ``import dagster, pandas``.

Each load is a fresh process of a home with data, and they take turns. The interpreter's own start,
the same for both, is left out: that makes the ratio stricter.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator

from benchmarks.harness import Benchmark, Cost, Row, at_most, best, command, sevenfold

GOAL = at_most(2)
TIMED = """
import time
started, worked = time.perf_counter(), time.process_time()
{body}
print(time.perf_counter() - started, time.process_time() - worked)
"""
IMPORTS = "import dagster, pandas"
LOCATION = """
from orchestration.definitions import defs
defs().get_repository_def().load_all_definitions()
"""


def load(body: str, home: str) -> Cost:
    """What a fresh process takes for these statements."""
    script = TIMED.format(body=body)
    printed, _, cost = command([sys.executable, "-c", script], {"SEVENFOLD_HOME": home})
    seconds, cpu = map(float, printed.split()[-2:])
    return Cost(seconds, cpu, cost.peak_mb)


def run(clients: int, times: int) -> Iterator[Row]:
    """One row; the first pair warms the file cache and does not count."""
    with tempfile.TemporaryDirectory() as home:
        sevenfold(
            "run", "--source", f"sample:clients={clients}", "--models", "churn", "--home", home
        )
        pairs = [(load(IMPORTS, home), load(LOCATION, home)) for _ in range(times + 1)][1:]
    theirs, ours = best(one for one, _ in pairs), best(other for _, other in pairs)
    yield Row(f"load the code location, best of {times}", IMPORTS, ours, theirs, GOAL)


BENCHMARK = Benchmark(
    name="load",
    question="Load time of the code location against `import dagster, pandas`.",
    run=run,
    full={"clients": 50, "times": 7},
    quick={"times": 1},
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
