"""A folder as a source: one ``.csv``, ``.parquet`` or ``.sql`` file for each table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse import contract, duck
from warehouse.sources.errors import SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

SUFFIXES = (".sql", ".parquet", ".csv")
_SNIFFED_BYTES = 1 << 20


@dataclass(frozen=True)
class FolderSource:
    """Files named after the contract's tables.

    A ``.sql`` file holds one DuckDB SELECT; relative paths in it are relative to the folder, and
    ``getvariable('data')`` is ``data``, else the folder. A ``.sql`` file beside a data file of the
    same name is the mapping of that file and is the one that is read.
    """

    folder: Path
    data: Path | None = None

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise SourceError(
                f"{self.folder} is not a folder: folder:PATH names one that holds files such as"
                " invoice_lines.csv, invoice_lines.parquet or invoice_lines.sql"
            )
        if not self._files():
            held = sorted(path.name for path in self.folder.iterdir())[:12]
            raise SourceError(
                f"{self.folder} has no file for any table. Expected one of"
                f" {', '.join(contract.TABLES)}, each ending in .csv, .parquet or .sql;"
                f" found: {', '.join(held) or 'nothing'}."
                f" `sevenfold init-source {self.folder}` proposes mappings for other files."
            )

    @property
    def identity(self) -> str:
        """The folder's path: its files may change from day to day."""
        return f"folder:{self.folder}"

    def tables(self) -> list[str]:
        """Tables that have a file, in the contract's order."""
        files = self._files()
        return [table for table in contract.TABLES if table in files]

    def relation(self, table: str, connection: DuckDBPyConnection) -> DuckDBPyRelation:
        """The rows of the table's file; every CSV value is text."""
        import duckdb

        path = self._files().get(table)
        if path is None:
            raise SourceError(f"{self.folder} has no file for the table {table!r}")
        try:
            if path.suffix == ".sql":
                return self._mapped(path, connection)
            if path.suffix == ".parquet":
                return connection.sql(f"SELECT * FROM read_parquet({duck.text(str(path))})")
            return read_csv(path, connection, rejects=f"rejects_{table}")
        except duckdb.Error as error:
            raise SourceError(f"{path}: {error}") from error

    def unmatched(self) -> list[str]:
        """Data files in the folder that are named after no table."""
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if path.suffix in SUFFIXES and path.stem not in contract.TABLES
        )

    def _files(self) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for table in contract.TABLES:
            for suffix in SUFFIXES:
                path = self.folder / f"{table}{suffix}"
                if path.is_file():
                    files[table] = path
                    break
        return files

    def _mapped(self, path: Path, connection: DuckDBPyConnection) -> DuckDBPyRelation:
        from duckdb import StatementType

        statements = connection.extract_statements(path.read_text(encoding="utf-8"))
        if len(statements) != 1 or statements[0].type != StatementType.SELECT:
            raise SourceError(
                f"{path}: expected one SELECT, found {len(statements)} statements"
                if len(statements) != 1
                else f"{path}: expected a SELECT, found {statements[0].type}"
            )
        data = self.data or self.folder
        connection.execute(f"SET VARIABLE data = {duck.text(str(data))}")
        connection.execute(f"SET file_search_path = {duck.text(str(self.folder))}")
        return connection.sql(statements[0].query.strip().rstrip(";"))


def read_csv(
    path: Path, connection: DuckDBPyConnection, *, rejects: str | None = None
) -> DuckDBPyRelation:
    """A CSV file with a header, every value as text.

    Lines with the wrong number of values go to the connection's table ``rejects`` (line,
    error_message, csv_line) instead of failing the load.
    """
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty: expected a line of column names and then the rows")
    options = "all_varchar = true, header = true"
    if not _is_utf8(path):
        options += ", encoding = 'latin-1'"
    if rejects:
        options += (
            f", store_rejects = true, rejects_table = {duck.text(rejects)},"
            f" rejects_scan = {duck.text(rejects + '_scan')}"
        )
    return connection.sql(f"SELECT * FROM read_csv({duck.text(str(path))}, {options})")


def _is_utf8(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_SNIFFED_BYTES)
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The sample may end within a character.
        return len(head) == _SNIFFED_BYTES and error.start > len(head) - 4
    return True
