"""Schedules over HTTP: made, watched, changed, run by hand; what cannot be is told by its field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ml.lifecycle.workspace import Workspace
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import audit, jobs, schedule_runs

MAKE, PATH = "/api/admin/schedule", "/api/schedules"
ASKED: dict[str, Any] = {
    "model": "repeat-orders",
    "action": "score",
    "cron": "30 6 * * 1-5",
    "timezone": "Europe/Berlin",
    "name": "before the meeting",
}


@pytest.fixture
def made(client: httpx.Client) -> dict[str, Any]:
    answer = client.post(MAKE, json=ASKED)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def later(hours: float) -> datetime:
    return utc_now() + timedelta(hours=hours)


def test_a_schedule_fires_next_when_its_cron_says(made: dict[str, Any]) -> None:
    next_at = datetime.fromisoformat(made["next_at"])
    assert next_at > utc_now()
    assert (next_at.second, next_at.tzinfo) == (0, UTC)
    assert {name: made[name] for name in ASKED} == ASKED | {"model": "repeat_orders"}
    assert (made["missed"], made["paused"], made["params"]) == ("run_once", False, {})


def test_without_a_zone_it_is_the_firms(client: httpx.Client, workspace: Workspace) -> None:
    answer = client.post(MAKE, json={name: ASKED[name] for name in ("model", "action", "cron")})
    assert answer.json()["timezone"] == workspace.settings.timezone


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"model": "nobodys"}, "/model", "nobodys"),
        ({"cron": "* * * * *"}, "/cron", "0:05:00 is the least"),
        ({"cron": "0 0 30 2 *"}, "/cron", "no cron"),
        ({"cron": "0 0 * * * *"}, "/cron", "five fields"),
        ({"timezone": "Mars/Olympus"}, "/timezone", "no time zone"),
        ({"action": "dance"}, "/action", "'bulk', 'score' or 'train'"),
        ({"action": "bulk", "model": "budget"}, "/action", "a name alone"),
        ({"params": {"as_of": "yesterday"}}, "/params/as_of", "date"),
        ({"params": {"colour": "red"}}, "/params/colour", "not permitted"),
        ({"action": "train", "params": {"as_of": "2026-01-01"}}, "/params/as_of", "not permitted"),
        ({"colour": "red"}, "/colour", "not"),
        ({"missed": "all"}, "/missed", "'run_once' or 'skip'"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    client: httpx.Client, change: dict[str, Any], pointer: str, said: str
) -> None:
    told = problem(client.post(MAKE, json=ASKED | change), 422, "invalid_request")
    [error] = told["errors"]
    assert error["pointer"] == pointer
    assert said in error["detail"]


def test_a_change_counts_from_now_and_a_paused_one_has_no_next_time(
    client: httpx.Client, made: dict[str, Any]
) -> None:
    where = f"{PATH}/{made['id']}"
    paused = client.patch(where, json={"paused": True}).json()
    assert (paused["paused"], paused["next_at"]) == (True, None)
    changed = client.patch(where, json={"paused": False, "cron": "0 7 * * *", "name": "x"}).json()
    assert (changed["cron"], changed["name"], changed["timezone"]) == (
        "0 7 * * *",
        "x",
        made["timezone"],
    )
    assert later(0) < datetime.fromisoformat(changed["next_at"]) < later(25)
    told = problem(client.patch(where, json={"cron": "x"}), 422, "invalid_request")
    assert told["errors"][0]["pointer"] == "/cron"
    told = problem(client.patch(where, json={"params": {"a": 1}}), 422, "invalid_request")
    assert told["errors"][0]["pointer"] == "/params/a"
    assert client.get(where).json() == changed
    problem(client.patch(f"{PATH}/sch_nobodys", json={}), 404, "unknown_schedule")


def test_a_removed_schedule_is_gone_for_every_verb(
    client: httpx.Client, made: dict[str, Any]
) -> None:
    where = f"{PATH}/{made['id']}"
    assert client.delete(where).status_code == 204
    for answer in (
        client.get(where),
        client.delete(where),
        client.patch(where, json={"paused": True}),
        client.get(f"{where}/runs"),
        client.post(f"{where}/run"),
    ):
        problem(answer, 404, "unknown_schedule")
    assert made["id"] not in {one["id"] for one in client.get(PATH).json()["items"]}


def test_its_runs_say_what_became_of_each_time(
    client: httpx.Client, made: dict[str, Any], workspace: Workspace
) -> None:
    where = f"{PATH}/{made['id']}"
    by_hand = client.post(f"{where}/run").json()
    assert (by_hand["by_hand"], by_hand["outcome"], by_hand["job_state"]) == (
        True,
        "started",
        "queued",
    )
    assert (
        by_hand["job"] in problem(client.post(f"{where}/run"), 409, "schedule_under_way")["detail"]
    )
    due = datetime.fromisoformat(made["next_at"])
    with writing(workspace.engine) as connection:
        fired = schedule_runs.fire_due(connection, due + timedelta(seconds=7))
    assert [run.outcome for run in fired if run.schedule == made["id"]] == ["overlapped"]
    pages = []
    query: dict[str, Any] = {"limit": 1}
    while True:
        page = client.get(f"{where}/runs", params=query).json()
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [(run["outcome"], run["late_seconds"]) for run in pages] == [
        ("overlapped", 7.0),
        ("started", 0.0),
    ]
    assert client.delete(f"/api/jobs/{by_hand['job']}").json()["state"] == "cancelled"
    assert client.get(f"{where}/runs").json()["items"][1]["job_state"] == "cancelled"


def test_a_job_over_everything_that_is_known_can_be_scheduled(
    client: httpx.Client, workspace: Workspace
) -> None:
    asked = ASKED | {"action": "bulk", "params": {"reasons": True}}
    made = client.post(MAKE, json=asked).json()
    run = client.post(f"{PATH}/{made['id']}/run").json()
    with reading(workspace.engine) as connection:
        job = jobs.get(connection, run["job"])
    assert job is not None
    assert (job.kind, dict(job.params)) == ("bulk", {"all": True, "reasons": True})


def test_lists_are_paged_newest_first(client: httpx.Client) -> None:
    for number in range(3):
        client.post(MAKE, json=ASKED | {"name": f"number {number}"})
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get(PATH, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen[:3] == ["number 2", "number 1", "number 0"]
    problem(client.get(PATH, params={"cursor": "x"}), 422, "invalid_request")


def test_the_same_call_again_makes_one_schedule(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "nightly-1"}
    first = client.post(MAKE, json=ASKED, headers=headers)
    again = client.post(MAKE, json=ASKED, headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = client.post(MAKE, json=ASKED | {"name": "x"}, headers=headers)
    problem(other, 422, "idempotency_mismatch")


def test_every_change_is_in_the_audit_log(
    client: httpx.Client, make_key: KeyMaker, workspace: Workspace
) -> None:
    client.headers.update(bearing(make_key(owner="olga")))
    made = client.post(MAKE, json=ASKED).json()
    where = f"{PATH}/{made['id']}"
    client.patch(where, json={"missed": "skip"})
    client.post(f"{where}/run")
    client.delete(where)
    with reading(workspace.engine) as connection:
        entries = [one for one in audit.page(connection, 50) if one.subject == made["id"]]
    assert [one.action for one in entries[::-1]] == [
        "schedule.create",
        "schedule.change",
        "schedule.run",
        "schedule.delete",
    ]
    assert {one.actor for one in entries} == {"olga"}
