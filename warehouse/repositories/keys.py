"""API keys: made, checked, replaced and revoked; of a key's secret only the hash is ever stored."""

from __future__ import annotations

import hmac
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, or_, select, update

from warehouse.database import utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import api_keys

Role = Literal["read", "write", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
STANDARD_TIER = "standard"

# Letters and digits alone: a double click selects all of it, and `_` parts it without doubt.
_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 12
_SECRET_LENGTH = 32  # 190 bits
_ID = re.compile(rf"[0-9A-Za-z]{{{_ID_LENGTH}}}")
_KEY = re.compile(rf"svf_([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{22,64}})")
_LABEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret, of which it holds the SHA-256 alone; times are UTC instants.

    ``rotated_from`` is the id of the key that this one replaces.
    """

    id: str
    owner: str
    name: str
    role: Role
    tier: str
    created_at: datetime
    created_by: str
    secret_hash: str = field(repr=False)
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    rotated_from: str | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it works at that instant, or why not."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class UnknownKeyError(LookupError):
    """There is no key of that id; the message says where to find those there are."""


class DeadKeyError(UnknownKeyError):
    """The key was revoked or has expired, so that nothing can be made from it."""


class InvalidKeyError(ValueError):
    """A key cannot be made like that; the message names the field and what it may be."""


def create(
    connection: Connection,
    owner: str,
    name: str,
    role: Role,
    tier: str,
    created_by: str,
    expires_at: datetime | None = None,
    rotated_from: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; the text beside it, ``svf_<id>_<secret>``, exists nowhere else.

    Raises InvalidKeyError for an unknown role, and for an owner, name or tier that is empty, longer
    than 200 characters or holds control characters.
    """
    for what, label in (("owner", owner), ("name", name), ("tier", tier)):
        if not _LABEL.fullmatch(label):
            raise InvalidKeyError(
                f"a key's {what} has 1 to 200 characters and no control characters, got {label!r}"
            )
    if role not in ROLES:
        raise InvalidKeyError(f"a key's role is one of {', '.join(ROLES)}, got {role!r}")
    secret = _random(_SECRET_LENGTH)
    key = ApiKey(
        id=_random(_ID_LENGTH),
        owner=owner,
        name=name,
        role=role,
        tier=tier,
        created_at=utc_now(),
        created_by=created_by,
        secret_hash=_hash(secret),
        expires_at=expires_at,
        rotated_from=rotated_from,
    )
    connection.execute(insert(api_keys).values(**values(key)))
    return key, f"svf_{key.id}_{secret}"


def parse(text: str) -> tuple[str, str] | None:
    """The id and the secret in a key's text, None where it is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


def masked(text: str) -> str:
    """The text with the secret of every key in it taken out; the ids stay."""
    return _KEY.sub(r"svf_\1_***", text)


def matches(key: ApiKey, secret: str) -> bool:
    """Whether that is the key's secret, in a time that tells nothing about it."""
    return hmac.compare_digest(key.secret_hash, _hash(secret))


def get(connection: Connection, key_id: str) -> ApiKey | None:
    """The key of that id, revoked and expired ones too."""
    return _get(connection, key_id, lock=False)


def all_keys(
    connection: Connection, owner: str | None = None, include_revoked: bool = False
) -> list[ApiKey]:
    """Every key, newest first; expired ones too."""
    return _fetch(connection, _listed(owner, include_revoked))


def page(
    connection: Connection,
    limit: int,
    after: tuple[datetime, str] | None = None,
    owner: str | None = None,
    include_revoked: bool = False,
) -> list[ApiKey]:
    """At most ``limit`` keys, newest first, that follow the ``(created_at, id)`` of a last one."""
    query = _listed(owner, include_revoked).limit(limit)
    if after is not None:
        at, key_id = after
        table = api_keys.c
        query = query.where(
            or_(table.created_at < at, and_(table.created_at == at, table.id < key_id))
        )
    return _fetch(connection, query)


def live(connection: Connection, now: datetime | None = None) -> list[ApiKey]:
    """The keys that work: neither revoked nor expired."""
    expires = api_keys.c.expires_at
    query = select(api_keys).where(
        api_keys.c.revoked_at.is_(None), or_(expires.is_(None), expires > (now or utc_now()))
    )
    return _fetch(connection, query)


def revision(connection: Connection) -> tuple[int, int]:
    """A marker that changes with every change of a key, but for its last use and passing time.

    Keys are never deleted, a revoked one stays so, and an expiry moves only as another key is made:
    so the numbers of keys and of revoked ones tell.
    """
    query = select(func.count(), func.count(api_keys.c.revoked_at)).select_from(api_keys)
    made, revoked = connection.execute(query).one()
    return made, revoked


def revoke(connection: Connection, key_id: str, at: datetime) -> bool:
    """Stop a key for good; False where it was revoked before, whose instant then stays.

    Raises UnknownKeyError where there is none.
    """
    if get(connection, key_id) is None:
        raise _unknown(key_id)
    table = api_keys
    change = update(table).where(table.c.id == key_id, table.c.revoked_at.is_(None))
    return connection.execute(change.values(revoked_at=at)).rowcount == 1


def rotate(
    connection: Connection, key_id: str, created_by: str, grace: timedelta
) -> tuple[ApiKey, str]:
    """Make a key that replaces this one, which goes on working for ``grace`` and no longer.

    Owner, name, role and tier stay; a key that was made for a limited time gets a successor for as
    long a time. Raises UnknownKeyError, DeadKeyError where the key works no more, and
    InvalidKeyError for a negative grace.
    """
    if grace < timedelta(0):
        raise InvalidKeyError(f"the grace of a rotated key cannot be negative, got {grace}")
    old = _get(connection, key_id, lock=True)
    if old is None:
        raise _unknown(key_id)
    now = utc_now()
    state = old.state(now)
    if state != "active":
        ended = "has expired" if state == "expired" else "was revoked"
        raise DeadKeyError(
            f"key {key_id} {ended} and cannot be rotated: make a new one with"
            " `sevenfold keys create`"
        )
    lifetime = _lifetime(connection, old)
    made = create(
        connection,
        owner=old.owner,
        name=old.name,
        role=old.role,
        tier=old.tier,
        created_by=created_by,
        expires_at=None if lifetime is None else now + lifetime,
        rotated_from=old.id,
    )
    ends = now + grace if old.expires_at is None else min(old.expires_at, now + grace)
    connection.execute(update(api_keys).where(api_keys.c.id == old.id).values(expires_at=ends))
    return made


def touch(connection: Connection, used: Mapping[str, datetime]) -> None:
    """Store when keys were last used; an older instant than the stored one changes nothing."""
    if not used:
        return
    at, last = bindparam("at", type_=api_keys.c.last_used_at.type), api_keys.c.last_used_at
    change = (
        update(api_keys)
        .where(api_keys.c.id == bindparam("key_id"), or_(last.is_(None), last < at))
        .values(last_used_at=at)
    )
    # In one order everywhere: two instances that lock the same rows crosswise would deadlock.
    rows = [{"key_id": key_id, "at": used[key_id]} for key_id in sorted(used)]
    connection.execute(change, rows)


def _lifetime(connection: Connection, old: ApiKey) -> timedelta | None:
    """For how long a key was made: its first rotation shortened that, but not its successor's."""
    query = select(api_keys).where(api_keys.c.rotated_from == old.id)
    query = query.order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc()).limit(1)
    made = next(iter(_fetch(connection, query)), old)
    return None if made.expires_at is None else made.expires_at - made.created_at


def _get(connection: Connection, key_id: str, lock: bool) -> ApiKey | None:
    # What no id looks like is not asked for: PostgreSQL refuses some of it, such as NUL.
    if not _ID.fullmatch(key_id):
        return None
    query = select(api_keys).where(api_keys.c.id == key_id)
    return next(iter(_fetch(connection, query.with_for_update() if lock else query)), None)


def _listed(owner: str | None, include_revoked: bool) -> Select[Any]:
    query = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
    if owner is not None:
        query = query.where(api_keys.c.owner == owner)
    return query if include_revoked else query.where(api_keys.c.revoked_at.is_(None))


def _fetch(connection: Connection, query: Select[Any]) -> list[ApiKey]:
    return [record(ApiKey, row) for row in connection.execute(query).mappings()]


def _unknown(key_id: str) -> UnknownKeyError:
    return UnknownKeyError(
        f"there is no key {masked(key_id)!r}: give the id (the 12 characters after `svf_`)"
        " of one that `sevenfold keys list --all` shows"
    )


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
