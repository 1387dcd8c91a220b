"""The log of who changed what: it is only ever appended to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from warehouse.database import utc_now
from warehouse.repositories.keys import masked
from warehouse.repositories.rows import record
from warehouse.tables import audit_log

_SECRET_NAME = re.compile(r"secret|password|authorization", re.IGNORECASE)
HIDDEN = "***"


@dataclass(frozen=True)
class Entry:
    """One change: ``actor`` did ``action`` to ``subject``, by that key and request if by one."""

    id: int
    at: datetime
    actor: str
    key_id: str | None
    action: str
    subject: str
    details: Mapping[str, Any]
    request_id: str | None


def append(
    connection: Connection,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
    key_id: str | None = None,
    request_id: str | None = None,
) -> int:
    """Add an entry and return its id; what would give a secret away is masked.

    Masked are keys in any text, and whatever stands under a name that says secret, password or
    authorization.
    """
    row = {
        "at": utc_now(),
        "actor": masked(actor),
        "key_id": key_id,
        "action": action,
        "subject": masked(subject),
        "details": _without_secrets(details),
        "request_id": request_id,
    }
    added = connection.execute(insert(audit_log).values(**row).returning(audit_log.c.id))
    number: int = added.scalar_one()
    return number


def page(connection: Connection, limit: int, before_id: int | None = None) -> list[Entry]:
    """At most ``limit`` entries, newest first, older than the one of ``before_id``."""
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(audit_log.c.id < before_id)
    return [record(Entry, row) for row in connection.execute(query).mappings()]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {
            masked(str(name)): HIDDEN
            if item is not None and _SECRET_NAME.search(str(name))
            else _without_secrets(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    return value
