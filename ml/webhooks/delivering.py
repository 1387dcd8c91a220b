"""One delivery from its claim to its outcome: signed, sent, noted, retried or given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from ml.webhooks import retries
from ml.webhooks.sending import Answer, Sender
from ml.webhooks.signing import signed
from warehouse.repositories import audit, deliveries, webhooks
from warehouse.repositories.deliveries import Attempt, Delivery
from warehouse.repositories.webhooks import Webhook
from warehouse.sealing import Seal, UnreadableSecretError

ACTOR = "webhooks"
"""Who disables webhooks, as the audit log names it."""
Outcome = Literal["delivered", "waiting", "failed", "lost"]


@dataclass(frozen=True)
class Tried:
    """What came of an attempt that began ``at``; ``ours`` where it failed on our side."""

    at: datetime
    answer: Answer
    ours: bool = False


async def attempt(
    sender: Sender, seal: Seal, delivery: Delivery, webhook: Webhook, now: datetime
) -> Tried:
    """Send a claimed delivery once."""
    try:
        secrets = webhooks.signing(webhook, seal, now)
    except UnreadableSecretError as error:
        return Tried(now, Answer(0, error=f"not sent: {error}"), ours=True)
    headers = signed(secrets, delivery.id, now, delivery.body)
    return Tried(now, await sender.post(webhook.url, headers, delivery.body.encode()))


def conclude(
    connection: Connection,
    delivery: Delivery,
    webhook: Webhook,
    tried: Tried,
    now: datetime,
    jitter: float,
) -> Outcome:
    """Note the attempt, and disable the webhook where nothing more should be sent to it.

    ``lost`` where the claim had ended before, so that another attempt counts.
    """
    answer = tried.answer
    noted = Attempt(tried.at, answer.status, answer.milliseconds, retries.said(answer))
    if retries.delivered(answer):
        webhooks.reached(connection, webhook.id)
        done = deliveries.conclude(connection, delivery, noted, "delivered")
        return "delivered" if done else "lost"
    since = now if tried.ours else webhooks.missed(connection, webhook.id, tried.at)
    again = retries.next_at(delivery.tries + 1, now, answer.retry_after, jitter)
    if answer.status == retries.GONE:
        _disable(connection, webhook, "it answered 410 Gone", now)
        again = None
    elif again is None and now - since >= retries.GIVE_UP:
        _disable(connection, webhook, f"it took nothing since {since:%Y-%m-%d %H:%M} UTC", now)
    state: Literal["waiting", "failed"] = "failed" if again is None else "waiting"
    done = deliveries.conclude(connection, delivery, noted, state, again)
    return state if done else "lost"


def _disable(connection: Connection, webhook: Webhook, why: str, now: datetime) -> None:
    if webhooks.disable(connection, webhook.id, why, now):
        audit.append(connection, ACTOR, "webhook.disable", webhook.id, {"why": why})
