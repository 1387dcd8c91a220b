"""Thirty days of scores: one run of all days against thirty runs of a day each.

The runs are Dagster runs of the ``<model>/scores`` assets, executed in process as the pipeline
does, all models of a run together. Every run is a fresh process and its start counts, as it does
where Dagster launches one; a second row has the thirty runs in one process, to tell the two apart.
Demand, which refits for each day, is left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from benchmarks.harness import Benchmark, Cost, Row, at_most, isolated, sevenfold

GOAL = at_most(0.25)
REFITS = "demand"
JOB = "backfill"


def prepare(home: str, clients: int) -> tuple[list[str], date]:
    """Ingest and train; the models that can score, and the newest day.

    A candidate of so small a firm may miss its gate; it is promoted all the same, since how well
    it predicts does not matter here.
    """
    from ml.models import default_registry

    names = [name for name in default_registry() if name != REFITS]
    source = f"sample:clients={clients}"
    sevenfold("run", "--source", source, "--models", ",".join(names), "--home", home)
    return isolated(_promote, home, names)


def _promote(home: str, names: Sequence[str]) -> tuple[list[str], date]:
    os.environ["SEVENFOLD_HOME"] = home
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing
    from warehouse.repositories import models

    workspace = Workspace.current()
    ready = []
    for name in names:
        with writing(workspace.engine) as connection:
            newest = models.latest(connection, name)
            if newest is not None and models.champion(connection, name) is None:
                models.promote(connection, name, newest.version, "to be timed", "benchmark")
        if newest is not None:
            ready.append(name)
    return ready, workspace.as_of()


def score(home: str, names: Sequence[str], runs: Sequence[tuple[date, date]]) -> int:
    """A Dagster run for each span of days, of all these models; how many rows they scored."""
    os.environ["SEVENFOLD_HOME"] = home
    import dagster as dg

    from ml.lifecycle.workspace import Workspace
    from orchestration.definitions import build_definitions
    from orchestration.pipeline import QUIET
    from orchestration.resources import prepare_dagster_home
    from orchestration.state import read_state

    workspace = Workspace.current()
    settings = workspace.settings
    prepare_dagster_home(settings)
    specs = [workspace.registry[name] for name in names]
    start = read_state(settings).start
    selection = dg.AssetSelection.assets(*([name, "scores"] for name in names))
    job = dg.Definitions.merge(
        build_definitions(specs, start, settings.timezone, workspace),
        dg.Definitions(jobs=[dg.define_asset_job(JOB, selection=selection)]),
    ).resolve_job_def(JOB)
    rows = 0
    with dg.DagsterInstance.get() as instance:
        for first, last in runs:
            result = job.execute_in_process(
                instance=instance,
                run_config=QUIET,
                tags={
                    "dagster/asset_partition_range_start": first.isoformat(),
                    "dagster/asset_partition_range_end": last.isoformat(),
                },
            )
            for event in result.get_asset_materialization_events():
                found = event.materialization.metadata["dagster/partition_row_count"].value
                rows += int(str(found))
    return rows


def clocked(home: str, names: Sequence[str], runs: Sequence[tuple[date, date]]) -> tuple[int, Cost]:
    """The same in a fresh process, whose start counts."""
    started = time.perf_counter()
    rows, cpu, peak = isolated(_score_here, home, names, runs)
    return rows, Cost(time.perf_counter() - started, cpu, peak)


def _score_here(
    home: str, names: Sequence[str], runs: Sequence[tuple[date, date]]
) -> tuple[int, float, float]:
    from benchmarks.harness import peak_mb

    rows = score(home, names, runs)
    return rows, time.process_time(), peak_mb()


def run(clients: int, days: int) -> Iterator[Row]:
    """Two rows, each with the one run as ours."""
    with tempfile.TemporaryDirectory() as home:
        names, newest = prepare(home, clients)
        dates = [newest - timedelta(days=back) for back in reversed(range(days))]
        singles = [(day, day) for day in dates]
        rows, ours = clocked(home, names, [(dates[0], dates[-1])])
        alone = [clocked(home, names, [single]) for single in singles]
        if sum(found for found, _ in alone) != rows:
            raise RuntimeError(f"{rows} rows in one run, {[n for n, _ in alone]} in single ones")
        theirs = Cost(
            sum(cost.seconds for _, cost in alone), sum(cost.cpu or 0.0 for _, cost in alone)
        )
        what = f"backfill {days} days, {clients:,} clients, {len(names)} models, {rows:,} rows"
        yield Row(what, f"{days} runs, a process each", ours, theirs, GOAL)
        _, together = clocked(home, names, singles)
        yield Row(what, f"{days} runs in one process", ours, together)


BENCHMARK = Benchmark(
    name="backfill",
    question="Thirty days of scores in one Dagster run against thirty runs.",
    run=run,
    full={"clients": 300, "days": 30},
    quick={"clients": 60, "days": 2},
    minutes=20,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
