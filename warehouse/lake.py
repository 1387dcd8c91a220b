"""The lake: Delta tables on local disk or in an object store, read by version and never by head.

Raw tables are append-only change logs (see :mod:`warehouse.snapshot`). Every other table is
replaced a partition at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse import duck
from warehouse.objects import StoreError, in_one_line, remote

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection


OPEN_VERSIONS = 64
"""How many versions of tables of an object store are held open."""


class LakeError(StoreError):
    """The lake cannot give what was asked for; the message names table and version."""


class NoTableError(LakeError):
    """The lake has no such table."""


class Lake:
    """Delta tables under one root, by name (``raw/invoices``, ``quarantine``, ``features/client``).

    ``root`` is a folder or an object store's URI; the store's credentials come from its own
    environment variables or from ``storage_options``. In either, of two commits that contradict
    one another the later is refused: delta-rs writes a version of the log only where none is.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        retention_days: int = 400,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        self.root = str(root).rstrip("/")
        self.retention_days = retention_days
        self.storage_options = dict(storage_options or {})
        self._known: dict[tuple[str, int], DeltaTable] = {}

    @property
    def local(self) -> bool:
        """Whether the lake lies in a folder, which DuckDB reads by itself."""
        return not remote(self.root)

    def uri(self, table: str) -> str:
        """Where a table lies."""
        return f"{self.root}/{table}"

    def version(self, table: str) -> int | None:
        """The head's version; None where the table does not exist."""
        if self.local and not Path(self.uri(table)).is_dir():
            return None
        try:
            # Not is_deltatable: it holds Python's lock while it waits for the network.
            return self._head(table)
        except NoTableError:
            return None

    def columns(self, table: str, version: int) -> dict[str, pa.DataType]:
        """The table's columns and Arrow types at a version."""
        import pyarrow as pa

        schema = pa.schema(self._open(table, version).schema())
        return {field.name: field.type for field in schema}

    def rows(self, table: str, version: int) -> int:
        """How many rows the table holds at a version, from its log alone."""
        return int(self._open(table, version).count())

    def relation(self, table: str, version: int, connection: DuckDBPyConnection) -> str:
        """SQL that stands for the table at a version in a FROM of this connection."""
        opened = self._open(table, version)
        if not self.local:
            view = f"lake_{table.replace('/', '_')}_{version}"
            connection.register(view, _in_order(opened.to_pyarrow_dataset()))
            return duck.name(view)
        files = sorted(Path(uri.removeprefix("file://")).as_posix() for uri in opened.file_uris())
        if not files:
            view = f"lake_{table.replace('/', '_')}_{version}"
            connection.register(view, opened.to_pyarrow_table())
            return duck.name(view)
        return f"read_parquet({duck.texts(files)}, union_by_name = true, hive_partitioning = false)"

    def read(
        self,
        table: str,
        version: int,
        columns: Sequence[str] | None = None,
        partitions: Sequence[tuple[str, str, Any]] | None = None,
    ) -> pa.Table:
        """The table at a version, with only these columns and partitions."""
        opened = self._open(table, version)
        chosen = list(columns) if columns is not None else None
        filters = list(partitions) if partitions is not None else None
        return opened.to_pyarrow_table(filters=filters, columns=chosen)

    def append(self, table: str, rows: Any, *, note: Mapping[str, str], fresh: bool = False) -> int:
        """Append an Arrow table or reader and return the new version; new columns are added.

        ``fresh`` replaces whatever an earlier attempt left behind that no reader can see.
        """
        self._write(table, rows, note, mode="overwrite" if fresh else "append")
        return self._head(table)

    def replace_partition(
        self, table: str, rows: Any, column: str, value: str, *, note: Mapping[str, str]
    ) -> int:
        """Replace the rows with ``column = value``, atomically; returns the new version."""
        exists = self.version(table) is not None
        self._write(
            table,
            rows,
            note,
            mode="overwrite",
            partition_by=[column],
            predicate=f"{duck.name(column)} = {duck.text(value)}" if exists else None,
        )
        return self._head(table)

    def delete_before(self, table: str, column: str, day: date) -> int:
        """Remove the rows with ``column < day``, and say how many; older versions still hold them.

        Raises LakeError, also where somebody replaces such rows meanwhile.
        """
        from deltalake.exceptions import DeltaError

        head = self._open(table, None)
        try:
            found = head.delete(f"{duck.name(column)} < {duck.text(day.isoformat())}")
        except (DeltaError, OSError) as error:
            raise LakeError(f"{self.uri(table)} cannot be changed: {in_one_line(error)}") from error
        return int(found["num_deleted_rows"] or 0)

    def restore(self, table: str, version: int) -> int:
        """Bring the head back to what it held at ``version``; returns the head's version.

        A head that holds the same files already is left alone, so that this may be repeated.
        """
        head = self._open(table, None)
        if head.version() == version:
            return version
        if set(head.file_uris()) != set(self._open(table, version).file_uris()):
            head.restore(version)
        return self._head(table)

    def vacuum(self, table: str, keep_versions: Iterable[int]) -> list[str]:
        """Delete files older than the retention that none of these versions uses."""
        opened = self._open(table, None)
        keep = sorted(set(keep_versions) | {int(opened.version())})
        return opened.vacuum(
            retention_hours=self.retention_days * 24, dry_run=False, keep_versions=keep
        )

    def _head(self, table: str) -> int:
        return int(self._open(table, None).version())

    def _open(self, table: str, version: int | None) -> DeltaTable:
        if self.local or version is None:
            return self._load(table, version)
        # A version never changes, and over a network each opening costs several requests.
        known = self._known.get((table, version))
        if known is None:
            known = self._load(table, version)
            if len(self._known) >= OPEN_VERSIONS:
                self._known.clear()
            self._known[table, version] = known
        return known

    def _load(self, table: str, version: int | None) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(
                self.uri(table), version=version, storage_options=self.storage_options or None
            )
        except TableNotFoundError:
            raise NoTableError(f"the lake has no table {table!r} under {self.root}") from None
        except (DeltaError, OSError) as error:
            wanted = "its head" if version is None else f"version {version}"
            raise LakeError(
                f"table {table!r} cannot be read at {wanted} under {self.root}:"
                f" {in_one_line(error)}"
            ) from error

    def _write(
        self,
        table: str,
        rows: Any,
        note: Mapping[str, str],
        *,
        mode: str,
        partition_by: list[str] | None = None,
        predicate: str | None = None,
    ) -> None:
        from deltalake import CommitProperties, write_deltalake

        days = f"interval {self.retention_days} days"
        schema_mode = "merge" if mode == "append" or predicate else "overwrite"
        try:
            write_deltalake(
                self.uri(table),
                rows,
                mode=mode,
                partition_by=partition_by,
                predicate=predicate,
                schema_mode=schema_mode,
                storage_options=self.storage_options or None,
                # Delta's own default drops the log, and with it the old versions, after 30 days.
                configuration={
                    "delta.logRetentionDuration": days,
                    "delta.deletedFileRetentionDuration": days,
                },
                commit_properties=CommitProperties(custom_metadata=dict(note)),
            )
        except OSError as error:
            raise LakeError(f"{self.uri(table)} cannot be written: {in_one_line(error)}") from error


def _in_order(dataset: Any) -> Any:
    """The dataset with its files by name, as in a folder; the log's order may change."""
    from pyarrow.dataset import FileSystemDataset

    fragments = sorted(dataset.get_fragments(), key=lambda fragment: fragment.path)
    return FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)
