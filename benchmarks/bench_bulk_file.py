"""A million questions about churn in a CSV, 1 % of them broken, against bare LightGBM.

Ours is the run of a bulk job from its claim to its end: lines counted, each value checked, stored
features of clients looked up, probability, band and margin decided, outcomes written as Parquet,
chunks and counts recorded in SQLite. The baseline reads the same file without its broken rows by
pyarrow, told the type of each column, and predicts with the champion's trees; it adds no linear
part, calibrates nothing and writes nothing. Imports are left out of both times, and count in both
peaks. Every row must be answered once, and the errors be those planted.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.api_home import CHURN, fill, forget_settings
from benchmarks.harness import Benchmark, Cost, Row, at_most, best, isolated, timed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from ml.lifecycle.workspace import Workspace

GOAL, PEAK_GOAL_MB = at_most(2), 1000
SLICE_ROWS = 100_000
"""Rows that the baseline predicts at once: a million take it longer and twice the memory."""


def prepare(folder: Path, clients: int) -> Path:
    """A home with a champion of churn, and a file of its clients' ids; the champion's folder."""
    forget_settings()
    fill(folder / "home", clients, [CHURN], "")
    workspace = _open(folder)
    champion = workspace.champion(workspace.registry[CHURN])
    workspace.engine.dispose()
    if champion is None:
        raise RuntimeError("churn has no champion in the benchmark's home")
    fitted: Path = champion.fitted_folder
    return fitted


def write_files(folder: Path, rows: int) -> set[int]:
    """``rows.csv``, ``good.csv`` without its broken rows, ``ids.csv``; the lines of these rows."""
    from sqlalchemy import select

    from benchmarks.export_file import write
    from warehouse.database import reading
    from warehouse.tables import online_features

    forget_settings()
    workspace, table = _open(folder), online_features.c
    query = select(table.entity, table.features).where(table.model == CHURN)
    with reading(workspace.engine) as connection:
        stored = connection.execute(query.order_by(table.entity)).all()
    workspace.engine.dispose()
    ids = [stored[number % len(stored)].entity for number in range(rows)]
    (folder / "ids.csv").write_text("\n".join(["client_id", *ids]) + "\n")
    return write([row.features for row in stored], rows, folder / "rows.csv", folder / "good.csv")


def _open(folder: Path) -> Workspace:
    from ml.lifecycle.workspace import Workspace
    from warehouse.settings import WarehouseSettings

    return Workspace.open(WarehouseSettings(home=folder / "home"))


def bulk(folder: Path, file: Path, rows: int, broken: set[int], reasons: bool) -> Cost:
    """What the run of a job over the file took; RuntimeError where its outcomes are not right."""
    import pandas  # noqa: F401

    from ml.jobs.bulk import run_bulk
    from ml.jobs.lease import LEASE
    from ml.jobs.submitting import submit
    from warehouse.database import utc_now, writing
    from warehouse.repositories import job_leases

    forget_settings()
    workspace = _open(folder)
    spec = workspace.registry[CHURN]
    submit(workspace, spec, file, "csv", False, reasons, "benchmark", "here")
    with writing(workspace.engine) as connection:
        [job] = job_leases.claim(connection, "bulk", utc_now(), LEASE)
    ended, cost = timed(lambda: run_bulk(workspace, job.id, job.attempt, "run"))
    expected = "completed", rows - len(broken), len(broken)
    if (ended.state, ended.rows_ok, ended.rows_error) != expected:
        raise RuntimeError(f"the job ended so: {ended}")
    _check(workspace, ended.id, rows, broken)
    return cost


def _check(workspace: Workspace, job_id: str, rows: int, broken: set[int]) -> None:
    """Every line has one outcome, and the errors with their reasons are those planted."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ml.jobs.files import job_files
    from warehouse.database import reading
    from warehouse.repositories import jobs

    files, lines, errors = job_files(workspace), [], []
    with reading(workspace.engine) as connection:
        parts = [chunk.part for chunk in jobs.chunks(connection, job_id)]
    for part in parts:
        with files.local(job_id, part) as path:
            table = pq.read_table(path)
        lines += table["line"].to_pylist()
        wrong = table.filter(pc.equal(table["outcome"], "error"))
        errors += wrong.select(["line", "code", "detail"]).to_pylist()
    if lines != list(range(2, rows + 2)):
        raise RuntimeError(f"{len(lines)} outcomes of {len(set(lines))} lines for {rows} rows")
    if {one["line"] for one in errors} != broken or not all(
        one["code"] and one["detail"] for one in errors
    ):
        raise RuntimeError(f"{len(errors)} errors, {len(broken)} planted")


def bare(fitted: Path, file: Path, reasons: bool) -> Cost:
    """What pyarrow and LightGBM take to read the file and to predict, and nothing else."""
    import numpy as np
    import pandas  # noqa: F401
    import pyarrow as pa
    import pyarrow.csv as pacsv
    from lightgbm import Booster

    from benchmarks.export_file import FEATURES
    from ml.estimators.threads import num_threads

    booster = Booster(model_file=str(fitted / "model.trees.txt"))
    encoder = json.loads((fitted / "model.json").read_text())["encoder"]
    columns, categories = encoder["columns"], encoder["categories"]
    text = pa.dictionary(pa.int32(), pa.string())
    types = {FEATURES + name: text if name in categories else pa.float64() for name in columns}
    options = pacsv.ConvertOptions(column_types=types, include_columns=list(types))
    pa.set_cpu_count(num_threads())

    def codes(column: pa.ChunkedArray, known: Sequence[str]) -> np.ndarray:
        coded = column.unify_dictionaries().combine_chunks()
        of = {value: code for code, value in enumerate(known)}
        found = [of.get(value, np.nan) for value in coded.dictionary.to_pylist()]
        places = coded.indices.fill_null(len(found)).to_numpy()
        return np.array([*found, np.nan])[places]

    def predict() -> None:
        table = pacsv.read_csv(file, convert_options=options)
        for first in range(0, table.num_rows, SLICE_ROWS):
            rows = table.slice(first, SLICE_ROWS)
            matrix = np.empty((rows.num_rows, len(columns)))
            for place, name in enumerate(columns):
                cells = rows[FEATURES + name]
                matrix[:, place] = (
                    codes(cells, categories[name]) if name in categories else cells.to_numpy()
                )
            booster.predict(matrix, num_threads=num_threads(), pred_contrib=reasons)

    return timed(predict)[1]


def run(rows: int, reasons_rows: int, clients: int, repeats: int) -> Iterator[Row]:
    """Without reasons, with them, and about stored clients by their id alone."""
    with tempfile.TemporaryDirectory(prefix="svf-") as made:
        folder = Path(made)
        fitted = isolated(prepare, folder, clients)
        whole, good, ids = folder / "rows.csv", folder / "good.csv", folder / "ids.csv"
        baseline = "read_csv, LightGBM's predict"
        for count, reasons, goal in ((rows, False, GOAL), (reasons_rows, True, None)):
            broken = isolated(write_files, folder, count)
            theirs, ours = [], []
            for _ in range(repeats):
                theirs.append(isolated(bare, fitted, good, reasons))
                ours.append(isolated(bulk, folder, whole, count, broken, reasons))
            what = f"bulk job, CSV of {count:,} rows, {len(broken):,} broken"
            if reasons:
                what, baseline = f"{what}, reasons", "read_csv, LightGBM's pred_contrib"
            yield Row(what, baseline, best(ours), best(theirs), goal, PEAK_GOAL_MB)
        by_id = [isolated(bulk, folder, ids, reasons_rows, set(), False) for _ in range(repeats)]
        yield Row(f"bulk job, CSV of {reasons_rows:,} stored clients' ids", ours=best(by_id))


BENCHMARK = Benchmark(
    name="bulk_file",
    question="A bulk job over a CSV of a million rows against bare LightGBM with parsing.",
    run=run,
    full={"rows": 1_000_000, "reasons_rows": 100_000, "clients": 1_000, "repeats": 3},
    quick={"rows": 5_000, "reasons_rows": 1_000, "clients": 100, "repeats": 1},
    minutes=15,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
