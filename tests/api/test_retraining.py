"""Retraining over HTTP: asked for, watched, by policy; promotion, approval and rollback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from api.main import create_app
from ml.lifecycle import promotion
from ml.lifecycle.promotion import ChampionChangedError
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.models import Registry, default_registry
from tests.api.conftest import UNLIMITED, bearing, key_maker
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm
from warehouse.database import reading, utc_now, writing
from warehouse.objects import StoreError
from warehouse.repositories import audit, job_leases, models

ASK = "/api/admin/retrain"
POLICY = f"{ASK}/policies/repeat-orders"
MODEL = "/api/admin/models/repeat-orders"
WHY = {"reason": "the new segment"}


@pytest.fixture
def life(tmp_path: Any) -> Iterator[Life]:
    made = Life(Firm(tmp_path))
    yield made
    made.close()


@pytest.fixture
def workspace(life: Life) -> Workspace:
    """A champion of the day before the last."""
    registry = Registry([*default_registry().values(), EIGHTH])
    earlier = life.ingested(LAST - timedelta(days=40), registry=registry)
    train(earlier, EIGHTH, "run-1")
    promote_if_passed(earlier, EIGHTH, "me")
    return life.ingested(registry=registry)


@pytest.fixture
def client(workspace: Workspace) -> Iterator[httpx.Client]:
    with serving(create_app(workspace, UNLIMITED)) as client:
        client.headers.update(bearing(key_maker(workspace)()))
        yield client


def champion(workspace: Workspace) -> str | None:
    with reading(workspace.engine) as connection:
        found = models.champion(connection, EIGHTH.name)
    return found.version if found else None


def do_the_work(workspace: Workspace, job_id: str) -> None:
    """What the run of a training job does, as ``orchestration/job_runs.py`` reports it."""
    with writing(workspace.engine) as connection:
        [job] = job_leases.claim(connection, "train", utc_now(), timedelta(minutes=5))
        assert job.id == job_id
        job_leases.start(connection, job.id, job.attempt, "run-9", utc_now(), timedelta(minutes=5))
    trained = train(workspace, EIGHTH, "run-9")
    done = promote_if_passed(workspace, EIGHTH, "run run-9")
    result = {"candidate": trained.version, "promoted": done.promoted, "outcome": done.sentence}
    with writing(workspace.engine) as connection:
        job_leases.finish(connection, job.id, job.attempt, "completed", utc_now(), None, result)


def asked(client: httpx.Client) -> str:
    answer = client.post(ASK, json={"model": "repeat-orders", **WHY})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    assert answer.headers["location"] == f"{ASK}/{job_id}"
    return job_id


def test_a_retraining_is_asked_for_once_at_a_time_and_shows_what_came_of_it(
    client: httpx.Client, workspace: Workspace
) -> None:
    job_id = asked(client)
    shown = client.get(f"{ASK}/{job_id}").json()
    assert (shown["state"], shown["reason"], shown["candidate"]) == ("queued", WHY["reason"], None)
    again = client.post(ASK, json={"model": "repeat_orders", **WHY})
    assert job_id in problem(again, 409, "training_under_way")["detail"]
    before = champion(workspace)
    do_the_work(workspace, job_id)
    shown = client.get(f"{ASK}/{job_id}").json()
    made = shown["candidate"]
    assert shown["state"] == "completed"
    assert made["gate"]["passed"] is made["promoted"] is (champion(workspace) == made["version"])
    assert set(made["metrics"]) == set(made["baseline_metrics"]) == {"mae"}
    assert made["champion_metrics"] is not None, "compared on the same later data"
    assert before != made["version"]


def test_a_file_job_is_no_retraining_and_unknown_models_are_refused(client: httpx.Client) -> None:
    sent = client.post("/api/repeat-orders/bulk?format=csv", content=b"client_id\nc01\n")
    assert sent.status_code == 202
    problem(client.get(f"{ASK}/{sent.json()['id']}"), 404, "unknown_job")
    problem(client.get(f"{ASK}/job_nobodys"), 404, "unknown_job")
    told = problem(client.post(ASK, json={"model": "nobodys", **WHY}), 422, "invalid_request")
    assert told["errors"][0]["pointer"] == "/model"
    for answer in (
        client.get(f"{ASK}/policies/nobodys"),
        client.put(f"{ASK}/policies/nobodys", json={}),
        client.post("/api/admin/models/nobodys/promote", json={"version": "x", **WHY}),
        client.post("/api/admin/models/nobodys/rollback", json=WHY),
    ):
        problem(answer, 404, "unknown_model")


def test_a_policy_is_the_settings_until_somebody_sets_one(
    client: httpx.Client, workspace: Workspace
) -> None:
    shown = client.get(POLICY).json()
    assert (shown["changed_by"], shown["promotion"]) == ("settings", "automatic")
    assert shown["cooldown_days"] == workspace.ml.retrain_cooldown_days
    wanted = {
        "on_drift": False,
        "on_performance": True,
        "max_age_days": 30,
        "new_labels": None,
        "cooldown_days": 1,
        "min_new_labels": 5,
        "promotion": "approval",
    }
    put = client.put(POLICY, json=wanted)
    assert put.status_code == 200
    assert client.get(POLICY).json() == put.json()
    assert {name: put.json()[name] for name in wanted} == wanted
    assert put.json()["changed_by"] == "me"
    for field, value in (("max_age_days", 0), ("cooldown_days", -1), ("promotion", "dice")):
        told = problem(client.put(POLICY, json={field: value}), 422, "invalid_request")
        assert told["errors"][0]["pointer"] == f"/{field}"


def test_with_approval_a_candidate_that_passed_waits_for_somebody(
    client: httpx.Client, workspace: Workspace
) -> None:
    client.put(POLICY, json={"promotion": "approval"})
    before = champion(workspace)
    job_id = asked(client)
    do_the_work(workspace, job_id)
    made = client.get(f"{ASK}/{job_id}").json()["candidate"]
    assert (made["promoted"], made["waits_for_approval"]) == (False, True)
    assert champion(workspace) == before
    promoted = client.post(f"{MODEL}/promote", json={"version": made["version"], **WHY})
    assert promoted.status_code == 200
    assert promoted.json()["decided_by"] == "me"
    assert champion(workspace) == made["version"]
    made = client.get(f"{ASK}/{job_id}").json()["candidate"]
    assert (made["promoted"], made["waits_for_approval"]) == (True, False)
    again = client.post(f"{MODEL}/promote", json={"version": made["version"], **WHY})
    problem(again, 409, "already_champion")


def test_rolling_back_brings_the_one_before_and_its_very_files(
    client: httpx.Client, workspace: Workspace
) -> None:
    before = champion(workspace)
    assert before is not None
    sums = workspace.artifacts.open(EIGHTH.name, before).manifest["sha256"]
    do_the_work(workspace, asked(client))
    now = champion(workspace)
    if now == before:
        with reading(workspace.engine) as connection:
            newest = models.latest(connection, EIGHTH.name)
        assert newest is not None
        client.post(f"{MODEL}/promote", json={"version": newest.version, **WHY})
    assert champion(workspace) != before
    back = client.post(f"{MODEL}/rollback", json=WHY).json()
    assert (back["version"], back["action"], back["reason"]) == (before, "rollback", WHY["reason"])
    assert champion(workspace) == before
    assert workspace.artifacts.open(EIGHTH.name, before).manifest["sha256"] == sums
    none = client.post(f"{MODEL}/rollback", json=WHY).json()
    assert none["version"] is None, "before the first there was none"
    problem(client.post(f"{MODEL}/rollback", json=WHY), 409, "no_champion")


def test_what_is_unknown_or_damaged_is_not_promoted(
    client: httpx.Client, workspace: Workspace
) -> None:
    unknown = client.post(f"{MODEL}/promote", json={"version": "nobodys", **WHY})
    problem(unknown, 404, "unknown_version")
    before = champion(workspace)
    trained = train(workspace, EIGHTH, "run-2")
    folder = workspace.artifacts.open(EIGHTH.name, trained.version).folder
    [path, *_] = [one for one in (folder / "fitted").iterdir() if one.is_file()]
    path.write_bytes(path.read_bytes() + b" ")
    damaged = client.post(f"{MODEL}/promote", json={"version": trained.version, **WHY})
    problem(damaged, 409, "artifact_damaged")
    assert champion(workspace) == before


def test_a_rollback_to_a_damaged_version_changes_nothing(
    client: httpx.Client, workspace: Workspace
) -> None:
    before = champion(workspace)
    assert before is not None
    now = train(workspace, EIGHTH, "run-2").version
    assert client.post(f"{MODEL}/promote", json={"version": now, **WHY}).status_code == 200
    folder = workspace.artifacts.open(EIGHTH.name, before).folder
    [path, *_] = [one for one in (folder / "fitted").iterdir() if one.is_file()]
    path.write_bytes(path.read_bytes() + b" ")
    problem(client.post(f"{MODEL}/rollback", json=WHY), 409, "artifact_damaged")
    assert champion(workspace) == now


def test_what_todays_code_cannot_read_is_neither_promoted_nor_brought_back(
    client: httpx.Client, workspace: Workspace, life: Life
) -> None:
    before = champion(workspace)
    newer = train(workspace, EIGHTH, "run-2").version
    assert client.post(f"{MODEL}/promote", json={"version": newer, **WHY}).status_code == 200
    of_another_release = life.on(registry=Registry([replace(EIGHTH, format=2)]))
    with serving(create_app(of_another_release, UNLIMITED)) as other:
        other.headers.update(client.headers)
        promoted = other.post(f"{MODEL}/promote", json={"version": before, **WHY})
        problem(promoted, 409, "artifact_outdated")
        problem(other.post(f"{MODEL}/rollback", json=WHY), 409, "artifact_outdated")
    assert champion(workspace) == newer


def test_where_the_store_does_not_answer_nothing_is_decided(
    client: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = champion(workspace)
    newer = train(workspace, EIGHTH, "run-2").version
    key = {"Idempotency-Key": "once"}
    ask = {"json": {"version": newer, **WHY}, "headers": key}
    first = client.post(f"{MODEL}/promote", **ask)
    assert first.status_code == 200

    def away(*_: object) -> None:
        raise StoreError("s3://bucket/models: the store does not answer as it should")

    monkeypatch.setattr(type(workspace.artifacts), "open", away)
    for answer in (
        client.post(f"{MODEL}/promote", json={"version": before, **WHY}),
        client.post(f"{MODEL}/rollback", json=WHY),
    ):
        problem(answer, 503, "store_unreachable")
        assert answer.headers["retry-after"] == "30"
    assert client.post(f"{MODEL}/promote", **ask).json() == first.json(), "answered before"
    assert champion(workspace) == newer


def test_a_rollback_is_of_the_champion_that_was_looked_at(workspace: Workspace) -> None:
    looked_at, newer = champion(workspace), train(workspace, EIGHTH, "run-2").version
    with writing(workspace.engine) as connection:
        promotion.promote(connection, EIGHTH, newer, "better", "me")
    assert promotion.before(workspace, EIGHTH) == looked_at
    with pytest.raises(ChampionChangedError), writing(workspace.engine) as connection:
        promotion.rollback(connection, EIGHTH, "another", "worse", "me")
    assert champion(workspace) == newer


def test_each_decision_is_in_the_audit_log(client: httpx.Client, workspace: Workspace) -> None:
    job_id = asked(client)
    client.put(POLICY, json={})
    client.post(f"{MODEL}/rollback", json=WHY)
    with reading(workspace.engine) as connection:
        entries = {(one.action, one.subject) for one in audit.page(connection, 50)}
    assert {
        ("retrain.ask", job_id),
        ("retrain.policy", EIGHTH.name),
        ("model.rollback", EIGHTH.name),
    } <= entries
