"""Connections to the warehouse: SQLite in WAL mode or PostgreSQL, for reading or for writing."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

SCORES_SCHEMA = "scores"
BUSY_SECONDS = 30
_READ = "sevenfold_read"


class WarehouseUrlError(ValueError):
    """A warehouse URL that cannot be used; the message says what is expected."""


def parse_url(url: str) -> URL:
    """The SQLAlchemy URL, with psycopg 3 as PostgreSQL's driver.

    Raises WarehouseUrlError for another database and for SQLite in memory, which the several
    processes of one run could not share.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise WarehouseUrlError(
            "SEVENFOLD_WAREHOUSE_URL is not a URL: give sqlite:////absolute/path/warehouse.db"
            " or postgresql://user:password@host/database"
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise WarehouseUrlError(
            f"the warehouse cannot live in {backend!r}: use sqlite:///… or postgresql://…"
        )
    if parsed.database in (None, "", ":memory:"):
        raise WarehouseUrlError(
            "the warehouse cannot live in memory, since several processes share it:"
            " use sqlite:////absolute/path/warehouse.db"
        )
    return parsed.set(drivername="sqlite")


def connect(url: str) -> Engine:
    """An engine for the warehouse; a SQLite file and its folder are created where missing."""
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        return _sqlite(parsed)
    engine = create_engine(parsed, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # Analysts' SQL names scored tables without a schema, on both databases.
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path TO public, {SCORES_SCHEMA}")
            cursor.execute("SET timezone TO 'UTC'")
        connection.commit()

    return engine


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS},
        execution_options={"schema_translate_map": {SCORES_SCHEMA: None}},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # The sqlite3 module would begin transactions by itself, and always deferred ones.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another writer
        # came between, whatever the timeout; so only declared readers are deferred.
        reads = bool(connection.get_execution_options().get(_READ, False))
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
        connection.exec_driver_sql("BEGIN DEFERRED" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A read-only transaction that sees one state throughout and waits for no writer."""
    options: dict[str, Any] = {_READ: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits at the end, or leaves everything as it was.

    On SQLite it holds the one write lock from its start, waiting up to 30 s for it.
    """
    with engine.begin() as connection:
        yield connection


def is_postgres(connection: Connection) -> bool:
    """Whether the connection is to PostgreSQL."""
    return connection.dialect.name == "postgresql"


def one_at_a_time(connection: Connection, what: str) -> None:
    """Wait until no other transaction that named the same thing is open.

    For what is looked at before it is changed. SQLite has one writer anyway.
    """
    if is_postgres(connection):
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock(what)})


def alone_now(connection: Connection, what: str) -> bool:
    """As ``one_at_a_time``, but False at once where another transaction is open that named it."""
    if not is_postgres(connection):
        return True
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool(connection.execute(query, {"key": _lock(what)}).scalar_one())


def _lock(what: str) -> int:
    """The number of a lock of PostgreSQL's."""
    digest = sha256(f"sevenfold {what}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], key: Sequence[str]
) -> None:
    """Insert the rows; where the unique ``key`` exists, the other given columns are replaced."""
    if not rows:
        return
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if is_postgres(connection) else sqlite
    statement = dialect.insert(table)
    rest = {name: statement.excluded[name] for name in rows[0] if name not in key}
    statement = (
        statement.on_conflict_do_update(index_elements=list(key), set_=rest)
        if rest
        else statement.on_conflict_do_nothing(index_elements=list(key))
    )
    connection.execute(statement, [dict(row) for row in rows])


def unreachable(error: Exception) -> bool:
    """Whether the error means that the database does not answer, through SQLAlchemy or a driver."""
    direct = OperationalError | InterfaceError | PoolTimeoutError | sqlite3.OperationalError
    if isinstance(error, direct):
        return True
    psycopg = sys.modules.get("psycopg")  # loaded where the warehouse is PostgreSQL
    return psycopg is not None and isinstance(error, psycopg.OperationalError)


def locked(error: OperationalError) -> bool:
    """Whether another writer held SQLite's one lock for too long."""
    return isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig)


def utc_now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)
