"""Webhooks at rest: events reach who asked, and secrets stay sealed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from tests.warehouse.test_model_versions import version
from tests.warehouse.webhook_desk import JOB, LEASE, SEAL, Desk, desk, now
from warehouse.database import connect, reading, writing
from warehouse.events import EVENTS, TEST
from warehouse.repositories import deliveries, job_expiry, job_leases, jobs, models, webhooks
from warehouse.repositories.deliveries import UnknownDeliveryError
from warehouse.repositories.webhooks import (
    MOST_OF_AN_OWNER,
    InvalidWebhookError,
    TooManyWebhooksError,
    UnknownWebhookError,
)
from warehouse.webhook_tables import webhooks as table

__all__ = ["desk", "now"]
PROMOTION = dict.fromkeys(EVENTS["model.promoted"].fields)


def test_a_secret_is_shown_once_and_stored_sealed(desk: Desk, now: datetime) -> None:
    hook, secret = desk(
        webhooks.create, SEAL, "ann", "https://a.example/", ["job.failed", "job.failed"], "key:1"
    )
    assert secret.startswith("whsec_")
    assert hook.events == ["job.failed"]
    assert webhooks.signing(hook, SEAL, now) == [secret]
    with reading(desk.engine) as connection:
        assert webhooks.get(connection, hook.id) == hook
        stored = repr(connection.execute(select(table)).all())
    assert secret not in stored + repr(hook)
    assert secret.removeprefix("whsec_") not in stored


def test_two_webhooks_never_share_a_secret(desk: Desk) -> None:
    secrets = {
        desk(webhooks.create, SEAL, "ann", "https://a.example/", ["job.failed"], "me")[1]
        for _ in range(5)
    }
    assert len(secrets) == 5


def test_after_a_rotation_both_secrets_sign_until_the_grace_ends(desk: Desk, now: datetime) -> None:
    hook, first = desk(webhooks.create, SEAL, "ann", "https://a.example/", ["job.failed"], "me")
    second = desk(webhooks.rotate, SEAL, hook.id, now, timedelta(hours=1))
    rotated = desk(webhooks.get, hook.id)
    assert webhooks.signing(rotated, SEAL, now) == [second, first]
    assert webhooks.signing(rotated, SEAL, now + timedelta(hours=1)) == [second]
    third = desk(webhooks.rotate, SEAL, hook.id, now, timedelta(hours=1))
    assert webhooks.signing(desk(webhooks.get, hook.id), SEAL, now) == [third, second]


@pytest.mark.parametrize("events", [[], ["job.done"], ["job.failed", "*"], [TEST]])
def test_a_webhook_asks_for_events_that_there_are(desk: Desk, events: list[str]) -> None:
    with pytest.raises(InvalidWebhookError, match="event") as refused:
        desk(webhooks.create, SEAL, "ann", "https://a.example/", events, "me")
    assert refused.value.name == "events"


def test_an_owner_has_only_so_many_and_others_are_not_counted(desk: Desk) -> None:
    for _ in range(MOST_OF_AN_OWNER):
        desk.hook(owner="ann")
    with pytest.raises(TooManyWebhooksError, match="ann has 20 webhooks"):
        desk.hook(owner="ann")
    desk.hook(owner="bob")


@pytest.mark.parametrize(
    "webhook_id", ["", "wh_", "wh_" + "0" * 24, "caf\u00e9", "\x00", "x" * 9999]
)
def test_what_is_not_there_is_unknown(desk: Desk, webhook_id: str) -> None:
    with pytest.raises(UnknownWebhookError):
        desk(webhooks.get, webhook_id)
    with pytest.raises(UnknownWebhookError):
        desk(webhooks.rotate, SEAL, webhook_id, datetime.now(UTC), LEASE)
    with pytest.raises(UnknownDeliveryError):
        desk(deliveries.replay, webhook_id.replace("wh_", "msg_"), datetime.now(UTC))


def test_of_rotations_at_once_the_last_two_secrets_sign(desk: Desk) -> None:
    hook, now = desk.hook(), datetime.now(UTC)
    with ThreadPoolExecutor(1) as pool:
        with writing(desk.engine) as connection:
            first = webhooks.rotate(connection, SEAL, hook.id, now, LEASE)
            waiting = pool.submit(desk, webhooks.rotate, SEAL, hook.id, now, LEASE)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
        second = waiting.result(30)
    assert webhooks.signing(desk(webhooks.get, hook.id), SEAL, now) == [second, first]


def test_another_owners_webhook_is_unknown(desk: Desk) -> None:
    hook = desk.hook(owner="ann")
    assert desk(webhooks.get, hook.id, owner="ann") == hook
    with pytest.raises(UnknownWebhookError):
        desk(webhooks.get, hook.id, owner="bob")


def test_an_event_reaches_those_of_its_owner_that_asked_for_it(desk: Desk) -> None:
    wants, other = desk.hook("job.completed", "job.failed"), desk.hook("job.failed")
    bobs, off = desk.hook(owner="bob"), desk.hook()
    desk(webhooks.disable, off.id, "no more", datetime.now(UTC))
    assert desk(webhooks.publish, "job.completed", "ann", JOB) == 1
    assert [len(desk.of(hook)) for hook in (wants, other, bobs, off)] == [1, 0, 0, 0]


def test_an_event_of_the_firm_reaches_whoever_asked_for_it(desk: Desk) -> None:
    hooks = [desk.hook("model.promoted", owner=owner) for owner in ("ann", "bob")]
    desk.hook("job.completed")
    assert desk(webhooks.publish, "model.promoted", None, PROMOTION) == 2
    assert {desk.one(hook).event for hook in hooks} == {"model.promoted"}
    assert len({desk.one(hook).id for hook in hooks}) == 2


def test_the_body_is_of_the_standard_form_with_instants_in_utc(desk: Desk) -> None:
    hook = desk.hook("model.promoted")
    summer = datetime.fromisoformat("2026-07-01T02:00:00+02:00")
    desk(webhooks.publish, "model.promoted", None, PROMOTION | {"decided_at": summer}, at=summer)
    delivery = desk.one(hook)
    assert json.loads(delivery.body) == {
        "type": "model.promoted",
        "timestamp": "2026-07-01T00:00:00Z",
        "data": PROMOTION | {"decided_at": "2026-07-01T00:00:00Z"},
    }
    assert (delivery.state, delivery.attempts, delivery.tries) == ("waiting", [], 0)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("job.done", JOB),
        (TEST, {"webhook": "wh_1"}),
        ("job.completed", {}),
        ("job.completed", JOB | {"extra": 1}),
    ],
)
def test_an_event_that_is_not_declared_is_refused(
    desk: Desk, event: str, data: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"not declared in warehouse/events\.py"):
        desk(webhooks.publish, event, "ann", data)


def test_what_is_undone_is_told_to_nobody(desk: Desk) -> None:
    hook = desk.hook()
    desk.undone(webhooks.publish, "job.completed", "ann", JOB)
    assert desk.of(hook) == []


def test_a_test_event_goes_to_one_webhook(desk: Desk) -> None:
    hook, other = desk.hook(), desk.hook()
    desk(webhooks.publish_test, hook)
    assert (desk.one(hook).event, desk.of(other)) == (TEST, [])
    assert json.loads(desk.one(hook).body)["data"] == {"webhook": hook.id}


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_jobs_end_is_told_in_the_same_transaction(desk: Desk, now: datetime, state: str) -> None:
    hook = desk.hook("job.completed", "job.failed", "job.cancelled")
    desk(jobs.create, "bulk", "churn", "bob", "key:2", {})
    job = desk(jobs.create, "bulk", "churn", "ann", "key:1", {})
    for one in desk(job_leases.claim, "bulk", now, LEASE):
        desk(job_leases.start, one.id, 1, "run-1", now, LEASE)
    error = "no such file" if state == "failed" else None
    desk.undone(job_leases.finish, job.id, 1, state, now, error)
    assert desk.of(hook) == []
    desk(job_leases.finish, job.id, 1, state, now, error)
    told = json.loads(desk.one(hook).body)
    assert told["type"] == f"job.{state}"
    assert datetime.fromisoformat(told["timestamp"]) == now
    assert told["data"] == {
        "id": job.id,
        "kind": "bulk",
        "model": "churn",
        "state": state,
        "rows_ok": 0,
        "rows_error": 0,
        "error": error,
        "finished_at": told["timestamp"],
    }
    desk(job_expiry.expire, [job.id])
    assert len(desk.of(hook)) == 1


def test_a_queued_job_that_is_cancelled_and_one_whose_runs_died_are_told_too(
    desk: Desk, now: datetime
) -> None:
    hook = desk.hook("job.failed", "job.cancelled")
    job = desk(jobs.create, "bulk", "churn", "ann", "key:1", {})
    desk(jobs.cancel, job.id, now)
    desk(jobs.cancel, job.id, now)
    assert [one.event for one in desk.of(hook)] == ["job.cancelled"]
    doomed = desk(jobs.create, "bulk", "churn", "ann", "key:1", {})
    for run in range(job_leases.MOST_STARTS + 1):
        for one in desk(job_leases.claim, "bulk", now + run * LEASE, LEASE):
            desk(job_leases.start, one.id, one.attempt, "run", now + run * LEASE, LEASE)
    assert desk(jobs.get, doomed.id).state == "failed"
    assert [one.event for one in desk.of(hook)] == ["job.failed", "job.cancelled"]


def test_promotions_and_rollbacks_are_told_to_all(desk: Desk) -> None:
    hook = desk.hook("model.promoted", "model.rolled_back")
    for name in ("a", "b"):
        desk(models.register, version(name))
        desk(models.promote, "churn", name, "better", "gate")
    desk(models.rollback, "churn", "complaints", "anna")
    desk(models.rollback, "churn", "complaints again", "anna")
    told = [json.loads(one.body) for one in reversed(desk.of(hook))]
    assert [(one["type"], one["data"]["version"], one["data"]["decided_by"]) for one in told] == [
        ("model.promoted", "a", "gate"),
        ("model.promoted", "b", "gate"),
        ("model.rolled_back", "a", "anna"),
        ("model.rolled_back", None, "anna"),
    ]
    assert told[2]["data"]["reason"] == "complaints"
    assert told[2]["timestamp"] == told[2]["data"]["decided_at"]


def test_what_happens_as_a_webhook_is_deleted_happens(desk: Desk) -> None:
    """The end of a job must not fail for a receiver that somebody takes away just then."""
    hook, other = desk.hook(), desk.hook()
    with ThreadPoolExecutor(1) as pool:
        with writing(desk.engine) as connection:
            webhooks.remove(connection, hook.id)
            told = pool.submit(desk, webhooks.publish, "job.completed", "ann", JOB)
            with pytest.raises(FutureTimeout):
                told.result(0.3)
        assert told.result(30) == 1
    assert len(desk.of(other)) == 1


@pytest.mark.postgres
def test_analysts_see_neither_webhooks_nor_deliveries(postgres_url: str, spec: Any) -> None:
    from warehouse.evolve import ANALYST_ROLE
    from warehouse.scored import migrate

    engine = connect(postgres_url)
    migrate(engine, [spec])
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL ROLE {ANALYST_ROLE}"))
        for name in ("webhooks", "webhook_deliveries"):
            with pytest.raises(Exception, match="permission denied"), connection.begin_nested():
                connection.execute(text(f"SELECT * FROM {name}"))
    engine.dispose()
