"""Deliveries to webhooks: claimed when due, tried under a lease, retried, replayed, purged.

A delivery's id is the ``webhook-id`` that its receiver sees, the same on every attempt and replay,
so that one that took it before can tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, or_, select, update

from warehouse.repositories import webhooks
from warehouse.repositories.rows import record
from warehouse.repositories.webhooks import Webhook
from warehouse.webhook_tables import webhook_deliveries
from warehouse.webhook_tables import webhooks as webhooks_table

State = Literal["waiting", "delivered", "failed"]
MOST_OF_A_WEBHOOK = 4
"""Deliveries that one webhook is sent at once by an instance; one that fails gets one at a time."""
ATTEMPTS_KEPT = 50
"""Of a delivery that is replayed again and again the last ones stay."""
_ID = re.compile(r"msg_[0-9a-f]{24}")
_TABLE = webhook_deliveries
_T = webhook_deliveries.c


@dataclass(frozen=True)
class Delivery:
    """An event on its way to a webhook; times are UTC instants.

    ``attempts`` says of each when it was (``at``), what the receiver answered (``status``), how
    many ``milliseconds`` it took and, where it failed, the ``error``. ``tries`` counts those since
    it was made or last replayed.
    """

    id: str
    webhook: str
    event: str
    body: str
    created_at: datetime
    state: State
    attempts: Sequence[Mapping[str, Any]]
    tries: int
    claim: int
    next_at: datetime | None = None
    lease_until: datetime | None = None
    delivered_at: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """How one attempt went; ``error`` where it failed."""

    at: datetime
    status: int | None
    milliseconds: int
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the database keeps it."""
        return {
            "at": self.at.isoformat(),
            "status": self.status,
            "milliseconds": self.milliseconds,
            "error": self.error,
        }


class UnknownDeliveryError(LookupError):
    """There is no delivery of that id."""


class DisabledWebhookError(RuntimeError):
    """The webhook is disabled, so that nothing is sent to it."""


def get(connection: Connection, delivery_id: str, webhook_id: str | None = None) -> Delivery:
    """The delivery of that id; UnknownDeliveryError where there is none, or to another webhook."""
    query = select(_TABLE).where(_T.id == delivery_id)
    if webhook_id is not None:
        query = query.where(_T.webhook == webhook_id)
    found = _fetch(connection, query) if _ID.fullmatch(delivery_id) else []
    if not found:
        raise UnknownDeliveryError(f"there is no delivery {delivery_id!r}")
    return found[0]


def page(
    connection: Connection,
    webhook_id: str,
    limit: int,
    after: tuple[datetime, str] | None = None,
    state: State | None = None,
) -> list[Delivery]:
    """At most ``limit``, newest first, that follow the ``(created_at, id)`` of a last one."""
    query = select(_TABLE).where(_T.webhook == webhook_id)
    query = query.order_by(_T.created_at.desc(), _T.id.desc()).limit(limit)
    if state is not None:
        query = query.where(_T.state == state)
    if after is not None:
        at, last = after
        query = query.where(or_(_T.created_at < at, and_(_T.created_at == at, _T.id < last)))
    return _fetch(connection, query)


def is_due(connection: Connection, now: datetime, busy: Collection[str] = ()) -> bool:
    """Whether there is something to claim; a look that takes no lock."""
    query = select(_T.id).where(*_due(now, busy)).limit(1)
    return connection.execute(query).first() is not None


def claim(
    connection: Connection,
    now: datetime,
    lease: timedelta,
    limit: int,
    busy: Collection[str] = (),
) -> list[tuple[Delivery, Webhook]]:
    """Take what is due, the longest due first; each is ours for ``lease``.

    None is taken for the ``busy`` webhooks, and of the others only a few each, so that one that
    does not answer keeps nobody waiting. What was due for a disabled webhook has failed.
    """
    query = select(_TABLE).where(*_due(now, busy)).order_by(_T.next_at, _T.id)
    # Rows that another instance holds are its own: waiting for them could cross with a removal.
    query = query.limit(limit * MOST_OF_A_WEBHOOK).with_for_update(skip_locked=True)
    due = _fetch(connection, query)
    to = {one.webhook for one in due}
    found = connection.execute(select(webhooks_table).where(webhooks_table.c.id.in_(to)))
    hooks = {row["id"]: record(Webhook, row) for row in found.mappings()}
    room = {hook.id: most_at_once(hook) for hook in hooks.values()}
    taken: list[tuple[str, Webhook]] = []
    for one in due:
        hook = hooks[one.webhook]
        if hook.disabled_at is not None:
            said = f"not sent: the webhook is disabled: {hook.disabled_why}"
            _change(connection, one, _ended(one, "failed", Attempt(now, None, 0, said)))
        elif room[hook.id] and len(taken) < limit:
            room[hook.id] -= 1
            _change(connection, one, {"claim": one.claim + 1, "lease_until": now + lease})
            taken.append((one.id, hook))
    return [(get(connection, delivery_id), hook) for delivery_id, hook in taken]


def most_at_once(webhook: Webhook) -> int:
    """How many deliveries an instance sends a webhook at once."""
    return 1 if webhook.failing_since is not None else MOST_OF_A_WEBHOOK


def conclude(
    connection: Connection,
    delivery: Delivery,
    attempt: Attempt,
    state: State,
    next_at: datetime | None = None,
) -> bool:
    """Note an attempt of a claimed delivery, and what the delivery is now.

    False, and nothing is noted, where the claim was lost meanwhile.
    """
    return _change(connection, delivery, _ended(delivery, state, attempt, next_at))


def release(connection: Connection, delivery: Delivery) -> None:
    """Give a claim back: its attempt came to nothing that is known."""
    _change(connection, delivery, {"lease_until": None})


def replay(connection: Connection, delivery_id: str, now: datetime) -> Delivery:
    """Send a delivery again, now and with all its retries; one under way stays as it is.

    Raises UnknownDeliveryError, and DisabledWebhookError where nothing would come of it.
    """
    delivery = get(connection, delivery_id)
    hook = webhooks.get(connection, delivery.webhook)
    if hook.disabled_at is not None:
        raise DisabledWebhookError(
            f"webhook {hook.id} is disabled ({hook.disabled_why}): enable it, then replay"
        )
    idle = or_(_T.state != "waiting", _T.lease_until.is_(None), _T.lease_until <= now)
    again = {"state": "waiting", "tries": 0, "next_at": now, "lease_until": None}
    connection.execute(update(_TABLE).where(_T.id == delivery_id, idle).values(**again))
    return get(connection, delivery_id)


def purge(connection: Connection, before: datetime) -> int:
    """Forget what was delivered or given up and is older; how many those were."""
    old = [_T.created_at < before, _T.state != "waiting"]
    return connection.execute(delete(_TABLE).where(*old)).rowcount


def _due(now: datetime, busy: Collection[str]) -> list[ColumnElement[bool]]:
    due = [
        _T.state == "waiting",
        _T.next_at <= now,
        or_(_T.lease_until.is_(None), _T.lease_until <= now),
    ]
    return [*due, _T.webhook.not_in(sorted(busy))] if busy else due


def _ended(
    delivery: Delivery, state: State, attempt: Attempt, next_at: datetime | None = None
) -> dict[str, Any]:
    change = {
        "state": state,
        "attempts": [*delivery.attempts, attempt.to_dict()][-ATTEMPTS_KEPT:],
        "tries": delivery.tries + 1,
        "next_at": next_at,
        "lease_until": None,
    }
    return change | ({"delivered_at": attempt.at} if state == "delivered" else {})


def _change(connection: Connection, delivery: Delivery, change: Mapping[str, Any]) -> bool:
    ours = [_T.id == delivery.id, _T.claim == delivery.claim, _T.state == "waiting"]
    return connection.execute(update(_TABLE).where(*ours).values(**change)).rowcount == 1


def _fetch(connection: Connection, query: Select[Any]) -> list[Delivery]:
    return [record(Delivery, row) for row in connection.execute(query).mappings()]
