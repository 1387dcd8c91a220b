"""Webhooks over HTTP: made once, each owner's own, delivered to a real receiver, replayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier

from api.call import Role
from api.main import create_app
from ml.lifecycle.workspace import Workspace
from ml.webhooks.settings import WebhookSettings
from tests.api.conftest import UNLIMITED, KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.receiver import Receiver, receiving, status
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import job_leases, jobs, models, webhooks
from warehouse.repositories.webhooks import MOST_OF_AN_OWNER
from warehouse.tables import audit_log, idempotency_keys
from warehouse.webhook_tables import webhook_deliveries
from warehouse.webhook_tables import webhooks as table

PATH = "/api/webhooks"
INSIDE = WebhookSettings(webhook_allowed_networks=["127.0.0.1/32"])
Calls = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[httpx.Client]:
    """An API whose webhooks may reach this machine."""
    with serving(create_app(workspace, UNLIMITED, INSIDE)) as client:
        yield client


@pytest.fixture
def calling(server: httpx.Client, make_key: KeyMaker) -> Iterator[Calls]:
    """A client of the server with a key of an owner."""
    made: list[httpx.Client] = []

    def make(owner: str = "ann", role: Role = "write") -> httpx.Client:
        headers = bearing(make_key(role, owner=owner))
        made.append(httpx.Client(base_url=server.base_url, headers=headers, timeout=60))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(autouse=True)
def _none_left(workspace: Workspace) -> Iterator[None]:
    yield
    with writing(workspace.engine) as connection:
        for left in webhooks.page(connection, 1000):
            webhooks.remove(connection, left.id)


def until(found: Callable[[], Any]) -> Any:
    """What is there at last."""
    deadline = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def make(client: httpx.Client, url: str, *events: str) -> dict[str, Any]:
    answer = client.post(PATH, json={"url": url, "events": events or ("job.completed",)})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def job_ended(workspace: Workspace, owner: str = "ann", state: str = "completed") -> str:
    with writing(workspace.engine) as connection:
        job = jobs.create(connection, "bulk", "churn", owner, "key:1", {})
        if state == "cancelled":
            jobs.cancel(connection, job.id, utc_now())
        else:
            job_leases.refuse(connection, job, utc_now(), "no such file")
    return job.id


def delivered(client: httpx.Client, webhook_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{PATH}/{webhook_id}/deliveries", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_what_happens_to_a_job_reaches_the_owners_receiver_signed(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann, bob = calling("ann"), calling("bob")
    made = make(ann, receiver.url(), "job.failed", "job.cancelled")
    make(bob, receiver.url(path="/bob"), "job.failed")
    failed = job_ended(workspace, state="failed")
    [request] = until(lambda: receiver.received)
    event = Verifier(made["secret"]).verify(request.body, request.headers)
    assert (event["type"], event["data"]["id"]) == ("job.failed", failed)
    assert event["data"]["error"] == "no such file"
    assert request.line == "POST /hook HTTP/1.1"
    [delivery] = until(lambda: delivered(ann, made["id"], state="delivered"))
    assert delivery["id"] == request.headers["webhook-id"]
    assert delivery["payload"] == event
    assert [(one["status"], one["error"]) for one in delivery["attempts"]] == [(204, None)]
    assert delivery["delivered_at"] is not None
    job_ended(workspace, state="cancelled")
    until(lambda: len(delivered(ann, made["id"], state="delivered")) == 2)
    assert [one["event"] for one in delivered(ann, made["id"])] == ["job.cancelled", "job.failed"]


def test_a_promotion_reaches_whoever_asked_for_it(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    make(calling("ann"), receiver.url(path="/ann"), "model.promoted")
    make(calling("bob", "admin"), receiver.url(path="/bob"), "model.promoted", "job.failed")
    with writing(workspace.engine) as connection:
        [(model, version)] = models.champions(connection).items()
        assert version is not None
        models.promote(connection, model, version, "again", "me")
    until(lambda: len(receiver.received) == 2)
    assert {one.line for one in receiver.received} == {
        "POST /ann HTTP/1.1",
        "POST /bob HTTP/1.1",
    }


def test_a_secret_is_shown_once_and_stored_nowhere_as_it_is(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling()
    answer = ann.post(
        PATH,
        json={"url": receiver.url(), "events": ["job.completed"]},
        headers={"Idempotency-Key": "a-webhook"},
    )
    assert answer.headers["cache-control"] == "no-store"
    secret = answer.json()["secret"]
    [listed] = ann.get(PATH).json()["items"]
    assert listed == {name: value for name, value in answer.json().items() if name != "secret"}
    rotated = ann.post(f"{PATH}/{listed['id']}/rotate").json()["secret"]
    assert rotated != secret
    with reading(workspace.engine) as connection:
        for one in (table, webhook_deliveries, audit_log, idempotency_keys):
            stored = str(connection.execute(select(one)).all())
            assert secret.removeprefix("whsec_") not in stored
            assert rotated.removeprefix("whsec_") not in stored


def test_a_repeated_call_makes_no_second_webhook_and_shows_no_secret_again(
    calling: Calls, receiver: Receiver
) -> None:
    ann = calling()
    body = {"url": receiver.url(), "events": ["job.completed"]}
    header = {"Idempotency-Key": "make-a-webhook-once"}
    made = ann.post(PATH, json=body, headers=header).json()
    problem(ann.post(PATH, json=body, headers=header), 409, "idempotency_secret")
    other = body | {"events": ["job.failed"]}
    problem(ann.post(PATH, json=other, headers=header), 422, "idempotency_mismatch")
    assert len(ann.get(PATH).json()["items"]) == 1
    rotate = f"{PATH}/{made['id']}/rotate"
    assert ann.post(rotate, headers=header).status_code == 201
    problem(ann.post(rotate, headers=header), 409, "idempotency_secret")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"events": ["job.failed"]}, "/url"),
        ({"url": 7, "events": ["job.failed"]}, "/url"),
        ({"url": "{url}"}, "/events"),
        ({"url": "{url}", "events": []}, "/events"),
        ({"url": "{url}", "events": ["job.done"]}, "/events"),
        ({"url": "{url}", "events": ["webhook.test"]}, "/events"),
        ({"url": "{url}", "events": ["job.failed"] * 99}, "/events"),
        ({"url": "{url}", "events": "job.failed"}, "/events"),
        ({"url": "{url}", "events": ["job.failed"], "secret": "mine"}, "/secret"),
        ({"url": "{url}", "events": ["job.failed"], "owner": "bob"}, "/owner"),
    ],
)
def test_a_webhook_that_cannot_be_meant_is_refused(
    calling: Calls, receiver: Receiver, body: dict[str, Any], pointer: str
) -> None:
    body = {name: receiver.url() if value == "{url}" else value for name, value in body.items()}
    found = problem(calling().post(PATH, json=body), 422, "invalid_request")
    assert pointer in [error["pointer"] for error in found["errors"]]


def test_an_owner_has_only_so_many(calling: Calls, receiver: Receiver) -> None:
    ann = calling()
    for _ in range(MOST_OF_AN_OWNER):
        make(ann, receiver.url())
    body = {"url": receiver.url(), "events": ["job.failed"]}
    problem(ann.post(PATH, json=body), 409, "webhook_limit")
    make(calling("bob"), receiver.url())


def test_another_owners_webhook_or_delivery_is_404_for_every_verb(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling("ann")
    mine = make(ann, receiver.url(), "job.failed")
    job_ended(workspace, state="failed")
    [delivery] = until(lambda: delivered(ann, mine["id"], state="delivered"))
    for stranger in (calling("bob"), calling("bob", "admin")):
        theirs = make(stranger, receiver.url(), "job.completed")
        for method, path in [
            ("DELETE", f"{PATH}/{mine['id']}"),
            ("POST", f"{PATH}/{mine['id']}/rotate"),
            ("POST", f"{PATH}/{mine['id']}/enable"),
            ("GET", f"{PATH}/{mine['id']}/deliveries"),
            ("POST", f"{PATH}/{mine['id']}/deliveries/{delivery['id']}/replay"),
        ]:
            problem(stranger.request(method, path), 404, "unknown_webhook")
        crossed = f"{PATH}/{theirs['id']}/deliveries/{delivery['id']}/replay"
        problem(stranger.post(crossed), 404, "unknown_delivery")
        assert {one["id"] for one in stranger.get(PATH).json()["items"]} >= {theirs["id"]}
        assert mine["id"] not in stranger.get(PATH).text
    assert [one["id"] for one in ann.get(PATH).json()["items"]] == [mine["id"]]
    assert len(receiver.received) == 1


@pytest.mark.parametrize("one", ["nobody", "caf%C3%A9", "%00", "x" * 300, "wh_" + "0" * 24])
def test_what_is_not_there_is_404(calling: Calls, receiver: Receiver, one: str) -> None:
    ann = calling()
    problem(ann.delete(f"{PATH}/{one}"), 404, "unknown_webhook")
    problem(ann.get(f"{PATH}/{one}/deliveries"), 404, "unknown_webhook")
    made = make(ann, receiver.url())
    problem(ann.post(f"{PATH}/{made['id']}/deliveries/{one}/replay"), 404, "unknown_delivery")


def test_a_delivery_is_replayed_under_the_same_id(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling()
    made = make(ann, receiver.url(), "job.failed")
    job_ended(workspace, state="failed")
    [first] = until(lambda: delivered(ann, made["id"], state="delivered"))
    replay = f"{PATH}/{made['id']}/deliveries/{first['id']}/replay"
    header = {"Idempotency-Key": "replay-it"}
    answers = [ann.post(replay, headers=header) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["state"] == "waiting"
    until(lambda: len(receiver.received) == 2)
    one, two = receiver.received
    assert (one.headers["webhook-id"], one.body) == (two.headers["webhook-id"], two.body)
    Verifier(made["secret"]).verify(two.body, two.headers)
    [again] = until(lambda: delivered(ann, made["id"], state="delivered"))
    assert len(again["attempts"]) == 2
    problem(ann.post(replay, json={"when": "now"}), 422, "invalid_request")


def test_a_webhook_that_said_gone_is_enabled_and_its_delivery_replayed(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling()
    receiver.replies += [status(410)]
    made = make(ann, receiver.url(), "job.failed")
    job_ended(workspace, state="failed")
    [failed] = until(lambda: delivered(ann, made["id"], state="failed"))
    assert failed["attempts"][0]["error"] == "answered 410"
    [shown] = ann.get(PATH).json()["items"]
    assert shown["disabled_why"] == "it answered 410 Gone"
    replay = f"{PATH}/{made['id']}/deliveries/{failed['id']}/replay"
    problem(ann.post(replay), 409, "webhook_disabled")
    enabled = ann.post(f"{PATH}/{made['id']}/enable")
    assert (enabled.status_code, enabled.json()["disabled_at"]) == (200, None)
    assert ann.post(replay).status_code == 202
    until(lambda: delivered(ann, made["id"], state="delivered"))


def test_after_a_rotation_over_http_both_secrets_verify(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling()
    made = make(ann, receiver.url(), "job.failed")
    rotated = ann.post(f"{PATH}/{made['id']}/rotate", json={"grace_hours": 1}).json()
    assert rotated["old_secret_until"] is not None
    job_ended(workspace, state="failed")
    [request] = until(lambda: receiver.received)
    for secret in (made["secret"], rotated["secret"]):
        Verifier(secret).verify(request.body, request.headers)
    for hours in (-1, 24 * 31, "soon"):
        answer = ann.post(f"{PATH}/{made['id']}/rotate", json={"grace_hours": hours})
        problem(answer, 422, "invalid_request")


def test_a_webhook_that_is_taken_away_is_sent_nothing_more(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling()
    goes, stays = make(ann, receiver.url(path="/goes")), make(ann, receiver.url(path="/stays"))
    del stays
    assert ann.delete(f"{PATH}/{goes['id']}").status_code == 204
    problem(ann.delete(f"{PATH}/{goes['id']}"), 404, "unknown_webhook")
    with writing(workspace.engine) as connection:
        told = dict.fromkeys(webhooks.EVENTS["job.completed"].fields)
        webhooks.publish(connection, "job.completed", "ann", told)
    [request] = until(lambda: receiver.received)
    assert request.line == "POST /stays HTTP/1.1"


def test_lists_go_page_by_page_newest_first(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling()
    made = [make(ann, receiver.url(), "job.failed")["id"] for _ in range(3)]
    ended = [job_ended(workspace, state="failed") for _ in range(3)]
    for path, expected, of in (
        (PATH, made, lambda item: item["id"]),
        (f"{PATH}/{made[0]}/deliveries", ended, lambda item: item["payload"]["data"]["id"]),
    ):
        found, params = [], {"limit": 2}
        while True:
            page = ann.get(path, params=params).json()
            found += [of(item) for item in page["items"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert found == expected[::-1]
        bad = ann.get(path, params={"cursor": "nonsense"})
        assert problem(bad, 422, "invalid_request")["errors"][0]["pointer"] == "/cursor"


def test_every_change_is_in_the_audit_log(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    ann = calling("ann")
    made = make(ann, receiver.url(), "job.failed")
    job_ended(workspace, state="failed")
    [delivery] = until(lambda: delivered(ann, made["id"], state="delivered"))
    ann.post(f"{PATH}/{made['id']}/rotate")
    ann.post(f"{PATH}/{made['id']}/enable")
    ann.post(f"{PATH}/{made['id']}/deliveries/{delivery['id']}/replay")
    until(lambda: len(receiver.received) == 2)
    ann.delete(f"{PATH}/{made['id']}")
    entries = calling(role="admin").get("/api/admin/audit", params={"limit": 1000}).json()["items"]
    ours = [one for one in entries if one["subject"] == made["id"]]
    assert [one["action"] for one in reversed(ours)] == [
        *("webhook.create", "webhook.rotate", "webhook.replay", "webhook.delete")
    ]
    assert {one["actor"] for one in ours} == {"ann"}


def test_what_became_of_attempts_is_measured(
    calling: Calls, receiver: Receiver, workspace: Workspace
) -> None:
    admin = calling(role="admin")
    name = 'sevenfold_webhook_attempts_total{outcome="delivered"}'
    before = admin.get("/api/admin/metrics").json().get(name, 0)
    make(calling(), receiver.url(), "job.failed")
    job_ended(workspace, state="failed")
    until(lambda: admin.get("/api/admin/metrics").json().get(name, 0) == before + 1)
