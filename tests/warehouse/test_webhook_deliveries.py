"""Deliveries at rest: one sender each, retries when said, what is kept and what is forgotten."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from tests.warehouse.webhook_desk import LEASE, Desk, desk, failed, now
from warehouse.database import connect, reading
from warehouse.repositories import deliveries, webhooks
from warehouse.repositories.deliveries import (
    ATTEMPTS_KEPT,
    MOST_OF_A_WEBHOOK,
    Attempt,
    DisabledWebhookError,
)
from warehouse.repositories.webhooks import Webhook
from warehouse.webhook_tables import webhook_deliveries

__all__ = ["desk", "now"]


def test_what_is_due_is_claimed_once_until_its_lease_ends(desk: Desk, now: datetime) -> None:
    hook = desk.hook()
    desk.told()
    with reading(desk.engine) as connection:
        assert not deliveries.is_due(connection, now - timedelta(hours=1))
        assert deliveries.is_due(connection, now)
    assert desk.claimed(now - timedelta(hours=1)) == []
    [(first, claimed)] = desk.claimed(now)
    assert (claimed.id, first.claim, first.lease_until) == (hook.id, 1, now + LEASE)
    assert desk.claimed(now + LEASE / 2) == []
    [(second, _)] = desk.claimed(now + LEASE)
    assert (second.id, second.claim) == (first.id, 2)
    assert not desk(deliveries.conclude, first, failed(now), "failed")
    assert desk.one(hook).attempts == []
    assert desk(deliveries.conclude, second, Attempt(now, 204, 7), "delivered")
    done = desk.one(hook)
    assert (done.state, done.delivered_at, done.next_at) == ("delivered", now, None)
    assert done.attempts == [
        {"at": now.isoformat(), "status": 204, "milliseconds": 7, "error": None}
    ]
    assert desk.claimed(now + timedelta(days=9)) == []


def test_an_attempt_that_failed_is_due_again_when_said(desk: Desk, now: datetime) -> None:
    hook = desk.hook()
    desk.told()
    [(claimed, _)] = desk.claimed(now)
    desk(deliveries.conclude, claimed, failed(now), "waiting", now + timedelta(seconds=5))
    assert desk.claimed(now + timedelta(seconds=4)) == []
    [(again, _)] = desk.claimed(now + timedelta(seconds=5))
    assert (again.tries, len(again.attempts)) == (1, 1)
    desk(deliveries.release, again)
    assert [one.id for one, _ in desk.claimed(now + timedelta(seconds=6))] == [again.id]
    assert desk.one(hook).tries == 1


def test_one_webhook_takes_a_few_places_and_a_failing_one_a_single_one(
    desk: Desk, now: datetime
) -> None:
    flooded, failing = desk.hook(owner="ann"), desk.hook(owner="bob")
    calm = desk.hook(owner="eve")
    desk.told("ann", 30)
    desk.told("bob", 5)
    desk.told("eve", 1)
    desk(webhooks.missed, failing.id, now)
    taken = [hook.id for _, hook in desk.claimed(now)]
    assert taken == [flooded.id] * MOST_OF_A_WEBHOOK + [failing.id, calm.id]
    busy = (flooded.id, failing.id)
    with reading(desk.engine) as connection:
        assert deliveries.is_due(connection, now)
        assert not deliveries.is_due(connection, now, busy)
    assert desk.claimed(now, busy=busy) == []
    assert [hook.id for _, hook in desk.claimed(now, limit=2)] == [flooded.id] * 2


def test_what_waits_for_a_disabled_webhook_fails_when_due_and_says_why(
    desk: Desk, now: datetime
) -> None:
    hook = desk.hook()
    desk.told()
    assert desk(webhooks.disable, hook.id, "it answered 410 Gone", now)
    assert not desk(webhooks.disable, hook.id, "another reason", now)
    assert desk.claimed(now) == []
    delivery = desk.one(hook)
    assert delivery.state == "failed"
    assert (
        delivery.attempts[-1]["error"] == "not sent: the webhook is disabled: it answered 410 Gone"
    )
    with pytest.raises(DisabledWebhookError, match="410 Gone"):
        desk(deliveries.replay, delivery.id, now)
    assert desk(webhooks.enable, hook.id)
    assert not desk(webhooks.enable, hook.id)
    assert desk(deliveries.replay, delivery.id, now).state == "waiting"
    assert [one.id for one, _ in desk.claimed(now)] == [delivery.id]


def test_a_webhook_fails_since_its_first_failure_after_a_success(desk: Desk, now: datetime) -> None:
    hook = desk.hook()
    assert desk(webhooks.missed, hook.id, now) == now
    assert desk(webhooks.missed, hook.id, now + LEASE) == now
    desk(webhooks.reached, hook.id)
    assert desk(webhooks.get, hook.id).failing_since is None
    assert desk(webhooks.missed, hook.id, now + 2 * LEASE) == now + 2 * LEASE


def test_a_replay_starts_the_retries_anew_under_the_same_id(desk: Desk, now: datetime) -> None:
    hook = desk.hook()
    desk.told()
    [(claimed, _)] = desk.claimed(now)
    desk(deliveries.conclude, claimed, failed(now), "failed")
    again = desk(deliveries.replay, claimed.id, now + LEASE)
    assert (again.id, again.body, again.tries) == (claimed.id, claimed.body, 0)
    assert (again.state, again.next_at, len(again.attempts)) == ("waiting", now + LEASE, 1)
    [(taken, _)] = desk.claimed(now + LEASE)
    under_way = desk(deliveries.replay, claimed.id, now + LEASE)
    assert under_way == taken
    assert len(desk.of(hook)) == 1


def test_of_many_attempts_the_last_stay(desk: Desk, now: datetime) -> None:
    hook = desk.hook()
    desk.told()
    for number in range(ATTEMPTS_KEPT + 3):
        [(claimed, _)] = desk.claimed(now)
        desk(deliveries.conclude, claimed, Attempt(now, number, 1, "no"), "waiting", now)
    statuses = [attempt["status"] for attempt in desk.one(hook).attempts]
    assert statuses == list(range(3, ATTEMPTS_KEPT + 3))


def test_old_deliveries_are_forgotten_but_not_what_waits(desk: Desk, now: datetime) -> None:
    hook = desk.hook()
    desk.told(times=3)
    for claimed, _ in desk.claimed(now)[:2]:
        desk(deliveries.conclude, claimed, Attempt(now, 200, 1), "delivered")
    assert desk(deliveries.purge, now - timedelta(days=1)) == 0
    assert desk(deliveries.purge, now) == 2
    assert [one.state for one in desk.of(hook)] == ["waiting"]


def test_a_webhook_goes_with_its_deliveries(desk: Desk, now: datetime) -> None:
    hook, other = desk.hook(), desk.hook()
    desk.told()
    [(claimed, _)] = [one for one in desk.claimed(now) if one[1].id == hook.id]
    desk(webhooks.remove, hook.id)
    assert not desk(deliveries.conclude, claimed, failed(now), "failed")
    with reading(desk.engine) as connection:
        left = connection.execute(select(webhook_deliveries.c.webhook)).scalars().all()
    assert left == [other.id]


def test_lists_go_page_by_page_newest_first(desk: Desk, now: datetime) -> None:
    hooks = [desk.hook() for _ in range(5)]
    desk.hook(owner="bob")
    found: list[Webhook] = []
    while len(found) < 5:
        after = (found[-1].created_at, found[-1].id) if found else None
        page = desk(webhooks.page, 2, after=after, owner="ann")
        assert page
        found += page
    assert {one.id for one in found} == {one.id for one in hooks}
    assert found == sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)
    desk.told(times=3)
    claimed = next(one for one, hook in desk.claimed(now) if hook.id == hooks[0].id)
    desk(deliveries.conclude, claimed, failed(now), "failed")
    [only] = desk(deliveries.page, hooks[0].id, 10, state="failed")
    assert only.id == claimed.id
    first = desk(deliveries.page, hooks[0].id, 2)
    rest = desk(deliveries.page, hooks[0].id, 2, after=(first[-1].created_at, first[-1].id))
    assert (len(first), len(rest)) == (2, 1)


def test_instances_that_claim_at_once_share_and_never_take_the_same(
    desk: Desk, now: datetime, warehouse_url: str
) -> None:
    for owner in range(8):
        desk.hook(owner=f"o{owner}")
        desk.told(f"o{owner}", 3)
    taken: list[str] = []
    engines = [connect(warehouse_url) for _ in range(4)]

    def work(engine: Engine) -> None:
        mine = Desk(engine)
        while found := mine.claimed(now, limit=2):
            taken.extend(one.id for one, _ in found)

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    taken += [one.id for one, _ in desk.claimed(now, limit=100)]  # what one skipped as another's
    assert len(taken) == len(set(taken)) == 24
