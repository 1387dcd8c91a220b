"""Single rows for a server's hot calls, by the database's own driver: no ORM, no thread, no wait.

On SQLite a reader never waits for a writer, and a look-up by key takes less than handing it to a
thread would, so it is made where it is asked for. On PostgreSQL it is awaited.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from warehouse.database import parse_url
from warehouse.entity_rows import RowsBy
from warehouse.scored import ScoredSpec

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

_DAY = "SELECT as_of, run_id FROM score_days WHERE model = {0} ORDER BY as_of DESC LIMIT 1"
_ONLINE = (
    "SELECT as_of, data_version, schema_hash, {1} FROM online_features"
    " WHERE model = {0} AND entity = {0}"
)
POOL_SIZE = 8


@dataclass(frozen=True, slots=True)
class Day:
    """The newest scored day of a model, and the run that scored it."""

    as_of: date
    run_id: str


@dataclass(frozen=True, slots=True)
class Online:
    """The stored inputs of one entity, as JSON."""

    as_of: date
    data_version: str
    schema_hash: str
    features: str


class Points(Protocol):
    """Look-ups by key; ``open`` and ``close`` belong to the server's start and end."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Let connections go."""

    async def newest_day(self, model: str) -> Day | None:
        """The newest scored day of a model; None before the first."""

    async def online(self, model: str, entity: str) -> Online | None:
        """The stored inputs of an entity; None where there are none."""

    async def rows(
        self, spec: ScoredSpec, by: Mapping[str, str], most: int
    ) -> list[dict[str, Any]]:
        """Decisions of the newest day whose columns have these values, in the order of their key.

        At most so many; the columns are those that a key or an index begins with.
        """


def points(url: str) -> Points:
    """The look-ups of a warehouse."""
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        return SqlitePoints(str(parsed.database))
    return PostgresPoints(parsed.set(drivername="postgresql").render_as_string(False))


def _form(
    held: dict[tuple[str, ...], RowsBy], spec: ScoredSpec, by: Mapping[str, str], postgres: bool
) -> RowsBy:
    key = (spec.name, *by)
    form = held.get(key)
    if form is None:
        form = held[key] = RowsBy.of(spec, by, postgres)
    return form


class SqlitePoints:
    """On one read-only connection of the thread that opens it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._day, self._online = _DAY.format("?"), _ONLINE.format("?", "features")
        self._forms: dict[tuple[str, ...], RowsBy] = {}

    async def open(self) -> None:
        self._connection = sqlite3.connect(
            f"file:{quote(self._path)}?mode=ro", uri=True, isolation_level=None
        )

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def newest_day(self, model: str) -> Day | None:
        row = self._one(self._day, (model,))
        return None if row is None else Day(date.fromisoformat(row[0]), row[1])

    async def online(self, model: str, entity: str) -> Online | None:
        row = self._one(self._online, (model, entity))
        if row is None:
            return None
        return Online(date.fromisoformat(row[0]), row[1], row[2], row[3])

    async def rows(
        self, spec: ScoredSpec, by: Mapping[str, str], most: int
    ) -> list[dict[str, Any]]:
        if self._connection is None:
            raise RuntimeError("open() comes before the first look-up")
        form = _form(self._forms, spec, by, postgres=False)
        found = self._connection.execute(form.statement, (spec.name, *by.values(), most))
        return form.named(found.fetchall())

    def _one(self, query: str, values: tuple[str, ...]) -> Any:
        if self._connection is None:
            raise RuntimeError("open() comes before the first look-up")
        return self._connection.execute(query, values).fetchone()


class PostgresPoints:
    """On a few connections of their own, which come back by themselves after a restart."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool | None = None
        self._day, self._online = _DAY.format("%s"), _ONLINE.format("%s", "features::text")
        self._forms: dict[tuple[str, ...], RowsBy] = {}

    async def open(self) -> None:
        from psycopg_pool import AsyncConnectionPool

        self._pool = AsyncConnectionPool(
            self._url,
            min_size=1,
            max_size=POOL_SIZE,
            open=False,
            timeout=5.0,
            kwargs={"autocommit": True, "prepare_threshold": 2},
        )
        await self._pool.open()

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def newest_day(self, model: str) -> Day | None:
        row = await self._one(self._day, (model,))
        return None if row is None else Day(row[0], row[1])

    async def online(self, model: str, entity: str) -> Online | None:
        if "\0" in entity:
            return None  # no text holds it, and PostgreSQL refuses to be asked
        row = await self._one(self._online, (model, entity))
        if row is None:
            return None
        return Online(row[0], row[1], row[2], row[3])

    async def rows(
        self, spec: ScoredSpec, by: Mapping[str, str], most: int
    ) -> list[dict[str, Any]]:
        if self._pool is None:
            raise RuntimeError("open() comes before the first look-up")
        if any("\0" in value for value in by.values()):
            return []  # no text holds it, and PostgreSQL refuses to be asked
        form = _form(self._forms, spec, by, postgres=True)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(form.statement, (spec.name, *by.values(), most))
            return form.named(await cursor.fetchall())

    async def _one(self, query: str, values: tuple[str, ...]) -> Any:
        if self._pool is None:
            raise RuntimeError("open() comes before the first look-up")
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchone()
