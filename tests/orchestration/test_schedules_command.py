"""``sevenfold schedules``: made, watched, changed, run by hand and removed, over the API's code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ml.lifecycle.workspace import Workspace
from tests.orchestration.command_home import ME, logged, on_home, told
from tests.orchestration.conftest import Runs
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs, schedule_runs, schedules
from warehouse.repositories.schedules import Schedule

__all__ = ["on_home"]

MAKE = ("schedules", "create", "churn", "score", "--cron", "30 6 * * 1-5")
BERLIN = ("--timezone", "Europe/Berlin")


def stored(schedule_id: str) -> Schedule:
    with reading(Workspace.current().engine) as connection:
        found = schedules.get(connection, schedule_id)
    assert found is not None
    return found


def end(job_id: str | None) -> None:
    """Its job has ended, as far as the schedule can see."""
    assert job_id is not None
    with writing(Workspace.current().engine) as connection:
        jobs.cancel(connection, job_id, utc_now())


def test_the_id_of_a_new_schedule_is_all_that_standard_output_holds(on_home: Runs) -> None:
    status, out, error = on_home(*MAKE, *BERLIN, "--name", "before [/the] meeting")

    assert status == 0
    made = stored(out.removesuffix("\n"))
    assert (made.model, made.action, made.cron) == ("churn", "score", "30 6 * * 1-5")
    assert (made.timezone, made.name, made.missed) == (
        "Europe/Berlin",
        "before [/the] meeting",
        "run_once",
    )
    assert (made.owner, made.created_by, made.paused, made.params) == (ME, ME, False, {})
    assert made.next_at is not None
    assert made.next_at > utc_now()
    local = made.next_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert f"fires next on {local:%F} at 06:30 (Europe/Berlin)" in error
    said = {"model": "churn", "action": "score", "cron": "30 6 * * 1-5"}
    assert logged() == [(ME, "schedule.create", made.id, said)]


def test_a_schedule_takes_parameters_and_may_begin_paused(on_home: Runs) -> None:
    words = ("--missed", "skip", "--paused", "--param", "as_of=2026-06-30")
    made = told(on_home, *MAKE, *words)

    assert (made["missed"], made["paused"], made["next_at"]) == ("skip", True, None)
    assert made["params"] == {"as_of": "2026-06-30"}
    assert made["timezone"] == Workspace.current().settings.timezone
    bulk = ("schedules", "create", "churn", "bulk", "--cron", "0 7 * * *")
    asked = told(on_home, *bulk, "--param", "reasons=true")
    assert asked["params"] == {"all": True, "reasons": True}


def test_a_list_shows_the_next_time_in_the_schedules_own_zone(on_home: Runs) -> None:
    assert told(on_home, "schedules", "list") == []
    assert "`sevenfold schedules create churn score" in on_home("schedules", "list")[2]
    first = told(on_home, *MAKE, *BERLIN, "--name", "[/first]")
    second = told(on_home, *MAKE, "--timezone", "Asia/Tokyo", "--paused")

    listed = told(on_home, "schedules", "list")
    assert [one["id"] for one in listed] == [second["id"], first["id"]]
    next_at = datetime.fromisoformat(listed[1]["next_at"])
    assert (next_at.hour, next_at.minute) == (6, 30)
    assert next_at.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    assert next_at == stored(first["id"]).next_at
    table = on_home("schedules", "list")[1]
    assert "[/first]" in table
    assert f" {next_at:%F} 06:30:00+0" in table


def test_a_schedule_shows_what_became_of_its_times(on_home: Runs) -> None:
    made = told(on_home, *MAKE, *BERLIN)
    assert "It did not fire yet." in on_home("schedules", "show", made["id"])[2]
    due_at = stored(made["id"]).next_at
    assert due_at is not None
    with writing(Workspace.current().engine) as connection:
        [fired] = schedule_runs.fire_due(connection, due_at + timedelta(seconds=20))

    shown = told(on_home, "schedules", "show", made["id"])
    assert shown["next_at"] > made["next_at"]
    [run] = shown["runs"]
    assert datetime.fromisoformat(run["due_at"]) == due_at
    assert run["due_at"].endswith(("06:30:00+01:00", "06:30:00+02:00"))
    assert (run["outcome"], run["late_seconds"], run["by_hand"]) == ("started", 20.0, False)
    assert (run["job"], run["job_state"], run["run_id"]) == (fired.job, "queued", None)
    assert str(fired.job) in on_home("schedules", "show", made["id"])[1]
    assert told(on_home, "jobs", "show", str(fired.job))["kind"] == "score"


def test_a_change_says_when_it_fires_next_and_is_logged(on_home: Runs) -> None:
    made = told(on_home, *MAKE, *BERLIN, "--param", "as_of=2026-06-30")
    change = ("schedules", "change", made["id"])

    changed = told(
        on_home, *change, "--cron", "0 7 * * *", "--timezone", "Asia/Tokyo", "--name", "x"
    )
    assert (changed["cron"], changed["timezone"], changed["name"]) == (
        "0 7 * * *",
        "Asia/Tokyo",
        "x",
    )
    assert changed["next_at"].endswith("07:00:00+09:00")
    assert changed["params"] == {"as_of": "2026-06-30"}, "what is not named stays"
    assert told(on_home, *change, "--param", "as_of=")["params"] == {}
    assert told(on_home, *change, "--missed", "skip")["missed"] == "skip"
    status, out, error = on_home(*change, "--paused")
    assert (status, out, error) == (0, "", f"Schedule {made['id']} is paused.\n")
    assert stored(made["id"]).next_at is None
    assert told(on_home, *change, "--active")["next_at"] == changed["next_at"]
    assert [details for _, action, _, details in logged() if action == "schedule.change"] == [
        {"paused": False},
        {"paused": True},
        {"missed": "skip"},
        {"params": {}},
        {"cron": "0 7 * * *", "timezone": "Asia/Tokyo", "name": "x"},
    ]


def test_what_fires_more_often_than_settings_now_allow_may_still_be_paused(
    on_home: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = told(on_home, "schedules", "create", "churn", "score", "--cron", "*/10 * * * *")
    Workspace.current().engine.dispose()
    Workspace.current.cache_clear()
    monkeypatch.setenv("SEVENFOLD_SCHEDULE_MIN_MINUTES", "60")
    assert told(on_home, "schedules", "change", made["id"], "--paused")["paused"] is True
    status, _, error = on_home("schedules", "change", made["id"], "--cron", "*/20 * * * *")
    assert status == 1
    assert "1:00:00 is the least (SEVENFOLD_SCHEDULE_MIN_MINUTES)" in error


def test_a_run_by_hand_makes_a_job_at_once_but_not_two(on_home: Runs) -> None:
    made = told(on_home, *MAKE, "--paused")
    status, out, error = on_home("schedules", "run", made["id"])

    assert status == 0
    job_id = out.strip()
    assert f"`sevenfold jobs show {job_id}`" in error
    with reading(Workspace.current().engine) as connection:
        job = jobs.get(connection, job_id)
    assert job is not None
    assert (job.kind, job.model, job.owner, job.asked_by) == ("score", "churn", ME, ME)
    status, out, error = on_home("schedules", "run", made["id"])
    assert (status, out) == (1, "")
    assert f"job {job_id} does this, and is still under way" in error
    end(job_id)
    again = told(on_home, "schedules", "run", made["id"])
    assert (again["by_hand"], again["outcome"], again["job_state"]) == (True, "started", "queued")
    assert [(entry[1], entry[3]) for entry in logged()[:2]] == [
        ("schedule.run", {"job": again["job"]}),
        ("schedule.run", {"job": job_id}),
    ]


def test_a_deleted_schedule_is_gone(on_home: Runs) -> None:
    made = told(on_home, *MAKE)
    assert told(on_home, "schedules", "delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert told(on_home, "schedules", "list") == []
    assert on_home("schedules", "delete", made["id"])[0] == 1
    assert [entry[1] for entry in logged()] == ["schedule.delete", "schedule.create"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "sch_nobodys"), "there is no schedule 'sch_nobodys': `sevenfold schedules list`"),
        (("change", "sch_nobodys", "--paused"), "there is no schedule 'sch_nobodys'"),
        (("delete", "sch_nobodys"), "there is no schedule 'sch_nobodys'"),
        (("run", "sch_nobodys"), "there is no schedule 'sch_nobodys'"),
        (("create", "horoscope", "score", "--cron", "0 7 * * *"), "there is no model 'horoscope'"),
        (("create", "churn", "score", "--cron", "0 7 * *"), "a cron has five fields"),
        (("create", "churn", "score", "--cron", "0 0 31 2 *"), "'0 0 31 2 *'"),
        (("create", "churn", "score", "--cron", "* * * * *"), "0:05:00 is the least"),
        (("create", "budget", "bulk", "--cron", "0 7 * * *"), "There is no job over all that"),
        (
            ("create", "churn", "score", "--cron", "0 7 * * *", "--timezone", "Mars"),
            "'Mars' is no time zone; name one as IANA does",
        ),
        (
            ("create", "churn", "score", "--cron", "0 7 * * *", "--param", "as_of=soon"),
            "as_of: Input should be a valid date",
        ),
        (
            ("create", "churn", "score", "--cron", "0 7 * * *", "--param", "colour=red"),
            "colour: Extra inputs are not permitted; action 'score' takes as_of",
        ),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_no_trace(
    on_home: Runs, words: tuple[str, ...], said: str
) -> None:
    status, out, error = on_home("schedules", *words)
    assert (status, out) == (1, "")
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert logged() == []
    assert told(on_home, "schedules", "list") == []


@pytest.mark.parametrize(
    "words",
    [
        ("create", "churn", "score"),
        ("create", "churn", "dance", "--cron", "0 7 * * *"),
        ("create", "churn", "score", "--cron", "0 7 * * *", "--missed", "perhaps"),
        ("create", "churn", "score", "--cron", "0 7 * * *", "--param", "as_of"),
        ("create", "churn", "score", "--cron", "0 7 * * *", "--name", ""),
        ("create", "churn", "score", "--cron", "0 7 * * *", "--name", "x" * 201),
        ("change", "sch_nobodys"),
        ("change", "sch_nobodys", "--name", "two\nlines"),
    ],
)
def test_a_wrong_argument_ends_with_status_2(on_home: Runs, words: tuple[str, ...]) -> None:
    status, out, error = on_home("schedules", *words)
    assert (status, out) == (2, "")
    assert "Traceback" not in error


def test_times_are_told_by_an_instant(on_home: Runs) -> None:
    """Around the change of clocks too, JSON says which of two equal hours is meant."""
    made = told(on_home, *MAKE, *BERLIN)
    autumn = datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    with writing(Workspace.current().engine) as connection:
        schedules.change(connection, made["id"], {"cron": "*/30 * * * *"}, autumn)
    shown = told(on_home, "schedules", "show", made["id"])
    assert shown["next_at"] == "2030-10-27 02:00:00+01:00"
