"""Answers to calls that create, kept for a day: a repeated call is answered, not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, delete, select, update

from warehouse.database import alone_now, is_postgres, utc_now
from warehouse.tables import idempotency_keys

LIFE = timedelta(hours=24)
_TABLE = idempotency_keys
# In bytes. PostgreSQL indexes rows of at most 2.7 kB; real parts are far shorter than this.
_LONGEST = 400


@dataclass(frozen=True)
class Begun:
    """The call is ours to answer, and then to ``finish`` in the same transaction."""


@dataclass(frozen=True)
class Replay:
    """The first call was answered, with this."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class InFlight:
    """The first call is still being answered."""


@dataclass(frozen=True)
class OtherBody:
    """The key came before, with another body."""


@dataclass(frozen=True)
class SecretAnswer:
    """The first call was answered with a secret, which is not kept."""


Beginning = Begun | Replay | InFlight | OtherBody | SecretAnswer


def begin(
    connection: Connection,
    caller: str,
    method: str,
    path: str,
    key: str,
    body_hash: str,
    now: datetime,
) -> Beginning:
    """Claim the call, or say what became of the one before it.

    In one transaction with what the call makes and ``finish``: whoever reads a record reads an
    answer, and a call that failed leaves none. Of several that begin at once one gets ``Begun``;
    on PostgreSQL the others get ``InFlight``, on SQLite they wait for the one writer, and read its
    answer. A record older than ``LIFE`` counts no more.
    """
    where = _parts(caller, method, path, key)
    if not alone_now(connection, f"call {where}"):
        return InFlight()
    fresh = {
        "body_hash": body_hash,
        "state": "in_flight",
        "status": None,
        "response": None,
        "headers": None,
        "created_at": now,
        "finished_at": None,
    }
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if is_postgres(connection) else sqlite
    claim = dialect.insert(_TABLE).values(**where, **fresh).on_conflict_do_nothing()
    claim = claim.returning(_TABLE.c.caller)  # an insert's rowcount says nothing on PostgreSQL
    take_over = (
        update(_TABLE).where(*_same(where), _TABLE.c.created_at <= now - LIFE).values(**fresh)
    )
    while True:
        if connection.execute(claim).first() or connection.execute(take_over).rowcount == 1:
            return Begun()
        row = connection.execute(select(_TABLE).where(*_same(where))).one_or_none()
        if row is None:  # purged between the two statements
            continue
        if row.body_hash != body_hash:
            return OtherBody()
        if row.state == "secret":
            return SecretAnswer()
        return Replay(row.status, row.headers, row.response)


def known(
    connection: Connection, caller: str, method: str, path: str, key: str, now: datetime
) -> bool:
    """Whether such a call began within ``LIFE``, so that ``begin`` would have an answer to it."""
    young = _TABLE.c.created_at > now - LIFE
    query = select(_TABLE.c.caller).where(*_same(_parts(caller, method, path, key)), young)
    return connection.execute(query).first() is not None


def finish(
    connection: Connection,
    caller: str,
    method: str,
    path: str,
    key: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    secret: bool = False,
) -> None:
    """Keep the answer for those who repeat the call; of one that shows a secret, that it was."""
    answer = {
        "state": "secret" if secret else "done",
        "status": status,
        "response": None if secret else body,
        "headers": None if secret else dict(headers),
        "finished_at": utc_now(),
    }
    ours = [*_same(_parts(caller, method, path, key)), _TABLE.c.state == "in_flight"]
    if connection.execute(update(_TABLE).where(*ours).values(**answer)).rowcount != 1:
        raise RuntimeError("an answer is kept in the transaction in which its call was begun")


def purge(connection: Connection, before: datetime) -> int:
    """Delete the records begun before that instant, and return how many there were."""
    return connection.execute(delete(_TABLE).where(_TABLE.c.created_at < before)).rowcount


def _parts(caller: str, method: str, path: str, key: str) -> dict[str, str]:
    given = {"caller": caller, "method": method, "path": path, "key": key}
    return {name: _storable(part) for name, part in given.items()}


def _storable(part: str) -> str:
    """The part itself, or its hash where PostgreSQL could not store or index it."""
    raw = part.encode("utf-8", "surrogatepass")
    if len(raw) <= _LONGEST and part.isprintable():
        return part
    return f"sha256:{sha256(raw).hexdigest()}"


def _same(where: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [_TABLE.c[name] == part for name, part in where.items()]
