"""SQL for analysts: one read-only statement on the warehouse."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from warehouse.database import BUSY_SECONDS, SCORES_SCHEMA, parse_url

_READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info"}


@dataclass(frozen=True)
class Result:
    """Columns and rows; ``truncated`` where the limit left rows out."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    truncated: bool = False


class QueryRefusedError(ValueError):
    """The statement writes, is not one statement, or is not valid SQL; the message says which."""


def query(url: str, sql: str, limit: int | None = None) -> Result:
    """Run one reading statement, of which at most ``limit`` rows are returned.

    Raises QueryRefusedError, and FileNotFoundError where there is no SQLite file yet.
    """
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        return _sqlite(Path(str(parsed.database)), sql, limit)
    return _postgres(
        parsed.set(drivername="postgresql").render_as_string(hide_password=False), sql, limit
    )


def _sqlite(file: Path, sql: str, limit: int | None) -> Result:
    if not file.is_file():
        raise FileNotFoundError(f"there is no warehouse yet at {file}: run `sevenfold run` first")
    uri = f"file:{quote(str(file.resolve()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)
    try:
        # mode=ro guards this file only; ATTACH could still write another one.
        connection.set_authorizer(_authorize)
        cursor = connection.execute(sql)
        return _fetch(cursor, limit)
    except sqlite3.Warning as error:
        raise QueryRefusedError(str(error)) from None
    except sqlite3.DatabaseError as error:
        if "authoriz" in str(error) or "readonly" in str(error):
            raise QueryRefusedError(
                "only reading is allowed here: write one SELECT statement"
            ) from None
        raise QueryRefusedError(f"the SQL is not valid: {error}") from None
    finally:
        connection.close()


def _authorize(action: int, first: str | None, second: str | None, *_where: str | None) -> int:
    if action in _READS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _postgres(url: str, sql: str, limit: int | None) -> Result:
    import psycopg

    options = f"-c default_transaction_read_only=on -c search_path=public,{SCORES_SCHEMA}"
    with psycopg.connect(url, options=options) as connection:
        try:
            # Prepared, since the server then takes one statement and no more.
            cursor = connection.execute(sql, prepare=True)
            return _fetch(cursor, limit)
        except psycopg.errors.ReadOnlySqlTransaction:
            raise QueryRefusedError(
                "only reading is allowed here: write one SELECT statement"
            ) from None
        except psycopg.ProgrammingError as error:
            raise QueryRefusedError(f"the SQL is not valid: {str(error).strip()}") from None


def _fetch(cursor: Any, limit: int | None) -> Result:
    if cursor.description is None:
        raise QueryRefusedError("the statement returns no rows: write one SELECT statement")
    columns = [column[0] for column in cursor.description]
    if limit is None:
        return Result(columns, cursor.fetchall())
    rows = cursor.fetchmany(limit + 1)
    return Result(columns, rows[:limit], truncated=len(rows) > limit)
