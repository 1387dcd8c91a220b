"""Client features in the lake: one Delta table, a partition a day, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ml.lifecycle.workspace import Workspace
from ml.methods.client_data import CLIENT_TABLES, client_tables
from ml.refusals import NotAvailableError

TABLE = "features/client"


@dataclass(frozen=True)
class StoredFeatures:
    """What was written: rows of each day, the Delta version of the last, and the columns."""

    rows: Mapping[date, int]
    version: int
    data_version: str
    schema_hash: str
    columns: Sequence[str]


def store_client_features(workspace: Workspace, days: Sequence[date]) -> StoredFeatures:
    """Compute the features of these days at once and replace their partitions one by one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from ml.features import client_features, client_population, compute

    data = workspace.snapshot()
    tables = client_tables(data)
    if not {"invoice_lines", "clients"} & set(tables):
        raise NotAvailableError("Client features need invoice_lines or clients.")
    found = compute(
        client_features(tables), tables, as_ofs=days, population=client_population(tables)
    )
    arrow = found.to_arrow()
    stamp = {"data_version": data.id, "schema_hash": found.schema_hash}
    for name, text in stamp.items():
        arrow = arrow.append_column(name, pa.array([text] * arrow.num_rows, pa.string()))
    version, rows = -1, {}
    for day in sorted(days):
        part = arrow.filter(pc.field("as_of") == pa.scalar(day, pa.date32()))
        rows[day] = part.num_rows
        version = workspace.lake.replace_partition(
            TABLE, part, "as_of", day.isoformat(), note={"data_version": data.id}
        )
    return StoredFeatures(rows, version, data.id, found.schema_hash, found.names)


__all__ = ["CLIENT_TABLES", "StoredFeatures", "store_client_features"]
