"""Webhooks: who is told of what, and under which secret; what happens is published here."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, update

from warehouse.database import one_at_a_time, utc_now
from warehouse.events import EVENTS, TEST
from warehouse.repositories.rows import record, values
from warehouse.sealing import Seal
from warehouse.webhook_tables import webhook_deliveries, webhooks

MOST_OF_AN_OWNER = 20
_SECRET_BYTES = 32
_ID = re.compile(r"wh_[0-9a-f]{24}")
_T = webhooks.c


@dataclass(frozen=True)
class Webhook:
    """Where an owner wants to be told of which events; times are UTC instants.

    Secrets are sealed. ``failing_since`` is the first failed attempt since the last one that was
    taken.
    """

    id: str
    owner: str
    url: str
    events: Sequence[str]
    created_at: datetime
    created_by: str
    secret: str = field(repr=False)
    old_secret: str | None = field(default=None, repr=False)
    old_until: datetime | None = None
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_why: str | None = None


class UnknownWebhookError(LookupError):
    """There is no webhook of that id."""


class InvalidWebhookError(ValueError):
    """A webhook cannot be made like that; ``name`` is the field at fault."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(said)
        self.name = name


class TooManyWebhooksError(RuntimeError):
    """The owner has as many as it may have."""


def create(
    connection: Connection,
    seal: Seal,
    owner: str,
    url: str,
    events: Sequence[str],
    created_by: str,
) -> tuple[Webhook, str]:
    """Make a webhook; the text beside it is its secret, ``whsec_…``, which is stored sealed alone.

    The URL is taken as it is: whoever asks has checked it. Raises InvalidWebhookError for unknown
    events or none, and TooManyWebhooksError.
    """
    if unknown := [event for event in events if event not in EVENTS]:
        raise InvalidWebhookError(
            "events", f"there is no event {unknown[0]!r}; there are {', '.join(EVENTS)}"
        )
    if not events:
        raise InvalidWebhookError("events", "name at least one event")
    one_at_a_time(connection, f"webhooks of {owner}")
    count = select(func.count()).select_from(webhooks).where(_T.owner == owner)
    if connection.execute(count).scalar_one() >= MOST_OF_AN_OWNER:
        raise TooManyWebhooksError(
            f"{owner} has {MOST_OF_AN_OWNER} webhooks, and no more are possible: delete one, or"
            " let one take more events"
        )
    webhook_id = f"wh_{secrets.token_hex(12)}"
    secret = _new_secret()
    webhook = Webhook(
        id=webhook_id,
        owner=owner,
        url=url,
        events=list(dict.fromkeys(events)),
        created_at=utc_now(),
        created_by=created_by,
        secret=seal.seal(secret, webhook_id),
    )
    connection.execute(insert(webhooks).values(**values(webhook)))
    return webhook, secret


def get(connection: Connection, webhook_id: str, owner: str | None = None) -> Webhook:
    """The webhook of that id; UnknownWebhookError where there is none, or it is another owner's."""
    query = select(webhooks).where(_T.id == webhook_id)
    if owner is not None:
        query = query.where(_T.owner == owner)
    # What no id looks like is not asked for: PostgreSQL refuses some of it, such as NUL.
    found = _fetch(connection, query) if _ID.fullmatch(webhook_id) else []
    if not found:
        raise UnknownWebhookError(f"there is no webhook {webhook_id!r}")
    return found[0]


def page(
    connection: Connection,
    limit: int,
    after: tuple[datetime, str] | None = None,
    owner: str | None = None,
) -> list[Webhook]:
    """At most ``limit``, newest first, that follow the ``(created_at, id)`` of a last one."""
    query = select(webhooks).order_by(_T.created_at.desc(), _T.id.desc()).limit(limit)
    if owner is not None:
        query = query.where(_T.owner == owner)
    if after is not None:
        at, webhook_id = after
        query = query.where(or_(_T.created_at < at, and_(_T.created_at == at, _T.id < webhook_id)))
    return _fetch(connection, query)


def remove(connection: Connection, webhook_id: str) -> None:
    """Take a webhook away with its deliveries, those that wait too."""
    connection.execute(delete(webhooks).where(_T.id == webhook_id))


def rotate(
    connection: Connection, seal: Seal, webhook_id: str, now: datetime, grace: timedelta
) -> str:
    """Give a webhook a new secret and return it; the present one signs too for ``grace``."""
    one_at_a_time(connection, webhook_id)
    webhook, secret = get(connection, webhook_id), _new_secret()
    change = {
        "secret": seal.seal(secret, webhook_id),
        "old_secret": webhook.secret,
        "old_until": now + grace,
    }
    connection.execute(update(webhooks).where(_T.id == webhook_id).values(**change))
    return secret


def signing(webhook: Webhook, seal: Seal, now: datetime) -> list[str]:
    """The secrets that sign at that instant, the present one first."""
    sealed = [webhook.secret]
    if webhook.old_secret is not None and webhook.old_until is not None and now < webhook.old_until:
        sealed.append(webhook.old_secret)
    return [seal.open(one, webhook.id) for one in sealed]


def disable(connection: Connection, webhook_id: str, why: str, now: datetime) -> bool:
    """Send it nothing more; False where it was disabled before, whose reason then stays."""
    change = update(webhooks).where(_T.id == webhook_id, _T.disabled_at.is_(None))
    return connection.execute(change.values(disabled_at=now, disabled_why=why)).rowcount == 1


def enable(connection: Connection, webhook_id: str) -> bool:
    """Send it again what happens, and what still waits; False where it was not disabled."""
    change = update(webhooks).where(_T.id == webhook_id, _T.disabled_at.is_not(None))
    anew = {"disabled_at": None, "disabled_why": None, "failing_since": None}
    return connection.execute(change.values(**anew)).rowcount == 1


def reached(connection: Connection, webhook_id: str) -> None:
    """Note that it took a delivery."""
    change = update(webhooks).where(_T.id == webhook_id, _T.failing_since.is_not(None))
    connection.execute(change.values(failing_since=None))


def missed(connection: Connection, webhook_id: str, at: datetime) -> datetime:
    """Note that it did not take one; the instant since when it took none."""
    since = func.coalesce(_T.failing_since, at)
    change = update(webhooks).where(_T.id == webhook_id).values(failing_since=since)
    found = connection.execute(change.returning(_T.failing_since)).scalar_one_or_none()
    return found or at


def publish(
    connection: Connection,
    event: str,
    owner: str | None,
    data: Mapping[str, Any],
    at: datetime | None = None,
) -> int:
    """Queue a delivery to each webhook that wants the event; how many those are.

    Called inside the transaction of what happened, so that both are or neither is. The event is
    the owner's, or the firm's where ``owner`` is None: then every webhook that asked for it is
    told. Raises ValueError for an event or fields that ``EVENTS`` does not declare.
    """
    declared = EVENTS.get(event)
    if declared is None or set(declared.fields) != set(data):
        raise ValueError(f"{event} with {sorted(data)} is not declared in warehouse/events.py")
    # Who deletes one meanwhile waits for us: what happened must not fail for a receiver.
    query = (
        select(webhooks).where(_T.disabled_at.is_(None)).with_for_update(read=True, key_share=True)
    )
    if owner is not None:
        query = query.where(_T.owner == owner)
    wanting = [webhook for webhook in _fetch(connection, query) if event in webhook.events]
    _queue(connection, wanting, event, data, at)
    return len(wanting)


def publish_test(connection: Connection, webhook: Webhook) -> str:
    """Queue a test event to that webhook alone; the delivery's id."""
    return _queue(connection, [webhook], TEST, {"webhook": webhook.id}, None)[0]


def _queue(
    connection: Connection,
    to: Sequence[Webhook],
    event: str,
    data: Mapping[str, Any],
    at: datetime | None,
) -> list[str]:
    if not to:
        return []
    now = utc_now()
    plain = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in data.items()
    }
    happened = (at or now).astimezone(UTC)
    body = msgspec.json.encode({"type": event, "timestamp": happened, "data": plain})
    rows: list[dict[str, Any]] = [
        {
            "id": f"msg_{secrets.token_hex(12)}",
            "webhook": webhook.id,
            "event": event,
            "body": body.decode(),
            "created_at": now,
            "state": "waiting",
            "attempts": [],
            "tries": 0,
            "claim": 0,
            "next_at": now,
        }
        for webhook in to
    ]
    connection.execute(insert(webhook_deliveries), rows)
    return [row["id"] for row in rows]


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def _fetch(connection: Connection, query: Select[Any]) -> list[Webhook]:
    return [record(Webhook, row) for row in connection.execute(query).mappings()]
