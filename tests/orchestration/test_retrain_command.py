"""``sevenfold retrain``: asked for, by policy, shown and listed; what is refused in words."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from ml.jobs.retraining import ask_by_policy
from ml.lifecycle.retraining import Retraining, policy_of
from ml.lifecycle.workspace import Workspace
from tests.orchestration.command_home import ME, logged, on_home, told
from tests.orchestration.conftest import Runs
from tests.orchestration.versions_home import PASSED, trained
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import job_leases, jobs
from warehouse.repositories.jobs import Job
from warehouse.repositories.policies import RetrainPolicy

__all__ = ["on_home"]

ASK = ("retrain", "ask", "churn", "--reason", "the new [/segment]")


def job(job_id: str) -> Job:
    with reading(Workspace.current().engine) as connection:
        found = jobs.get(connection, job_id)
    assert found is not None
    return found


def done(job_id: str, **result: Any) -> None:
    with writing(Workspace.current().engine) as connection:
        [claimed] = job_leases.claim(connection, "train", utc_now(), timedelta(minutes=5))
        assert claimed.id == job_id
        job_leases.start(
            connection, job_id, claimed.attempt, "run-9", utc_now(), timedelta(minutes=5)
        )
        job_leases.finish(
            connection, job_id, claimed.attempt, "completed", utc_now(), None, result or None
        )


def test_asking_queues_one_training_at_a_time(on_home: Runs) -> None:
    status, out, error = on_home(*ASK)

    assert status == 0
    asked = job(out.removesuffix("\n"))
    assert f"`sevenfold retrain show {asked.id}`" in error
    assert (asked.kind, asked.model, asked.state) == ("train", "churn", "queued")
    assert (asked.owner, asked.asked_by) == (ME, ME)
    assert asked.params == {"reason": "the new [/segment]"}
    status, out, error = on_home(*ASK)
    assert (status, out) == (1, "")
    assert f"churn is being trained already by job {asked.id} (queued)" in error
    assert told(on_home, "retrain", "ask", "revenue-leak", "--reason", "x")["kind"] == "train"
    assert [entry[1:] for entry in logged()][-1] == ("retrain.ask", asked.id, {"model": "churn"})
    assert len(logged()) == 2


def test_a_retraining_shows_what_came_of_it(on_home: Runs) -> None:
    reigning = trained(60)
    on_home("models", "promote", "churn", reigning, "--reason", "first")
    asked = on_home(*ASK)[1].strip()
    assert told(on_home, "retrain", "show", asked)["candidate"] is None
    assert "No version came of it yet." in on_home("retrain", "show", asked)[2]
    candidate = trained(0)
    done(asked, candidate=candidate, promoted=False)

    shown = told(on_home, "retrain", "show", asked)
    assert (shown["state"], shown["run_id"], shown["reason"]) == (
        "completed",
        "run-9",
        "the new [/segment]",
    )
    assert shown["candidate"] == {
        "version": candidate,
        "status": "candidate",
        "known_through": "2026-06-30",
        "metrics": {"auc": 0.8},
        "baseline_metrics": {"auc": 0.7},
        "champion_metrics": {"auc": 0.75},
        "gate": dict(PASSED),
        "promoted": False,
        "waits_for_approval": True,
    }
    _, out, _ = on_home("retrain", "show", asked)
    assert candidate in out
    assert "[/segment]" in out
    [listed] = told(on_home, "retrain", "list")
    assert (listed["id"], listed["asked_by"], listed["version"]) == (asked, ME, candidate)
    assert (listed["passed"], listed["promoted"], listed["waits_for_approval"]) == (
        True,
        False,
        True,
    )
    on_home("models", "promote", "churn", candidate, "--reason", "checked")
    shown = told(on_home, "retrain", "show", asked)["candidate"]
    assert (shown["promoted"], shown["waits_for_approval"]) == (True, False)


def test_the_list_has_trainings_alone_newest_first_and_by_whom(on_home: Runs) -> None:
    assert "`sevenfold retrain ask churn" in on_home("retrain", "list")[2]
    mine = on_home(*ASK)[1].strip()
    done(mine)
    workspace = Workspace.current()
    cause = Retraining(True, "drift on 2026-06-30; 300 new labels.", "churn:v1:drift on 2026-06-30")
    with writing(workspace.engine) as connection:
        jobs.create(connection, "score", "churn", ME, ME, {})
        by_policy = ask_by_policy(connection, workspace.registry["churn"], cause, utc_now())
    assert by_policy is not None
    first, second = told(on_home, "retrain", "list")
    assert (first["id"], first["reason"]) == (by_policy.id, cause.reason)
    assert first["asked_by"] == "policy:churn:v1:drift on 2026-06-30"
    assert (second["id"], second["version"], second["waits_for_approval"]) == (mine, None, None)
    assert [one["id"] for one in told(on_home, "retrain", "list", "--top", "1")] == [by_policy.id]


def test_a_policy_is_the_settings_until_an_option_changes_it(on_home: Runs) -> None:
    before = told(on_home, "retrain", "policy", "churn")
    assert (before["changed_by"], before["promotion"], before["max_age_days"]) == (
        "settings",
        "automatic",
        None,
    )
    assert logged() == []
    words = ("--no-on-drift", "--max-age-days", "60", "--promotion", "approval")
    changed = told(on_home, "retrain", "policy", "churn", *words)
    assert (changed["on_drift"], changed["on_performance"]) == (False, True)
    assert (changed["max_age_days"], changed["promotion"]) == (60, "approval")
    assert changed["cooldown_days"] == before["cooldown_days"]
    words = ("--max-age-days", "none", "--new-labels", "5000", "--cooldown-days", "0")
    again = told(on_home, "retrain", "policy", "churn", *words, "--min-new-labels", "0")
    assert (again["max_age_days"], again["new_labels"]) == (None, 5000)
    assert (again["cooldown_days"], again["min_new_labels"]) == (0, 0)
    assert (again["on_drift"], again["promotion"]) == (False, "approval"), "what is unnamed stays"
    assert (again["changed_by"], again["model"]) == (ME, "churn")
    assert told(on_home, "retrain", "policy", "churn") == again
    assert "approval" in on_home("retrain", "policy", "churn")[1]

    workspace = Workspace.current()
    with reading(workspace.engine) as connection:
        stored = policy_of(connection, workspace, workspace.registry["churn"])
    fields = {one.name for one in dataclasses.fields(RetrainPolicy)}
    actor, action, subject, details = logged()[0]
    assert (actor, action, subject) == (ME, "retrain.policy", "churn")
    assert details == {name: getattr(stored, name) for name in fields - OF_THE_ROW}
    assert len(logged()) == 2


OF_THE_ROW = {"model", "changed_by", "changed_at"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retrain", "ask", "horoscope", "--reason", "x"), "there is no model 'horoscope'"),
        (("retrain", "policy", "horoscope"), "there is no model 'horoscope'"),
        (("retrain", "show", "job_nobodys"), "there is no job 'job_nobodys'"),
        (("models", "promote", "churn", "churn-1", "--reason", "x"), "no version 'churn-1'"),
        (("models", "rollback", "churn", "--reason", "x"), "no champion to roll back from"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_no_trace(
    on_home: Runs, words: tuple[str, ...], said: str
) -> None:
    status, out, error = on_home(*words)
    assert (status, out) == (1, "")
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert logged() == []


def test_a_job_of_another_kind_is_no_retraining(on_home: Runs) -> None:
    with writing(Workspace.current().engine) as connection:
        other = jobs.create(connection, "score", "churn", ME, ME, {})
    status, _, error = on_home("retrain", "show", other.id)
    assert status == 1
    assert f"job {other.id} is no retraining: `sevenfold jobs show` shows it" in error


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "churn"),
        ("ask", "churn", "--reason", ""),
        ("ask", "churn", "--reason", "two\nlines"),
        ("policy", "churn", "--max-age-days", "0"),
        ("policy", "churn", "--max-age-days", "soon"),
        ("policy", "churn", "--cooldown-days", "-1"),
        ("policy", "churn", "--promotion", "dice"),
    ],
)
def test_a_wrong_argument_ends_with_status_2(on_home: Runs, words: tuple[str, ...]) -> None:
    status, out, error = on_home("retrain", *words)
    assert (status, out) == (2, "")
    assert "Traceback" not in error
    assert logged() == []


def test_the_limits_of_a_policy_are_those_of_the_api(on_home: Runs) -> None:
    _, _, error = on_home("retrain", "policy", "churn", "--max-age-days", "4000")
    assert "max-age-days" in error
    assert "less than or equal to 3650" in " ".join(error.replace("│", " ").split())
