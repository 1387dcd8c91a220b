"""DuckDB as the engine between files, lake and Arrow: connections with bounded memory, quoting."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT = "2GB"  # what DuckDB holds itself; beyond it, it writes to the working folder


@contextmanager
def session(*, timezone: str = "UTC", data: str | None = None) -> Iterator[DuckDBPyConnection]:
    """A DuckDB connection that is closed, and whose working files are removed, at the end.

    Tables beyond the memory limit go to working files. ``data`` is what ``getvariable('data')``
    returns in mappings. KeyboardInterrupt where a signal interrupts a query.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="sevenfold-duck-", ignore_cleanup_errors=True) as work:
        config: dict[str, Any] = {"temp_directory": work, "memory_limit": MEMORY_LIMIT}
        connection = duckdb.connect(":memory:", config=config)
        try:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"SET TimeZone = {text(timezone)}")
            if data is not None:
                connection.execute(f"SET VARIABLE data = {text(data)}")
            yield connection
        except RuntimeError as wrong:
            # What DuckDB makes of an interrupt, whatever its signal's handler raised.
            if str(wrong) != "Query interrupted":
                raise
            raise KeyboardInterrupt from wrong
        finally:
            connection.close()


def one(
    connection: DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> tuple[Any, ...] | None:
    """The query's first row; None where there is none."""
    # Fetching all closes the result; an open one would block the connection's next work.
    rows = connection.execute(query, list(values)).fetchall()
    return rows[0] if rows else None


def name(identifier: str) -> str:
    """The identifier, quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def names(identifiers: Sequence[str], prefix: str = "") -> str:
    """Quoted identifiers, separated by commas, each after ``prefix``."""
    return ", ".join(prefix + name(identifier) for identifier in identifiers)


def text(value: str) -> str:
    """The text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Sequence[str]) -> str:
    """The texts as an SQL list literal."""
    return "[" + ", ".join(text(value) for value in values) + "]"


def same(left: str, right: str, columns: Sequence[str]) -> str:
    """A join condition over ``columns`` in which null equals null."""
    return " AND ".join(
        f"{left}.{name(column)} IS NOT DISTINCT FROM {right}.{name(column)}" for column in columns
    )
