"""What starts runs by itself: missing drift verdicts and due retraining."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from ml.lifecycle.retraining import policy_of, retraining_due
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from orchestration.definitions import build_definitions
from orchestration.intents import CLAIM
from orchestration.resources import resources
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST
from warehouse.database import writing
from warehouse.repositories import drift, job_leases, jobs, performance, policies

LATER = LAST + timedelta(days=60)


def tick(workspace: Workspace, kind: str) -> dg.RunRequest | str:
    """The one run that the sensor asks for, or why it asks for none."""
    definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", workspace)
    sensor = definitions.resolve_sensor_def(f"{EIGHTH.name}_{kind}")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance,
            repository_def=definitions.get_repository_def(),
            resources=dict(resources(workspace)),
        )
        data = sensor.evaluate_tick(context)
    if data.run_requests:
        [request] = data.run_requests
        return request
    assert data.skip_message
    return data.skip_message


@pytest.fixture
def scored(life: Life) -> Workspace:
    """A champion since 1 July, and a day scored; the clock stands two months later."""
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    later = life.ingested(LATER, retrain_min_labels=80)
    score(later, EIGHTH, [LAST + timedelta(days=n) for n in (1, 2, 3, 4, 5, 60)], "daily")
    return later


def say_drift(workspace: Workspace, day: date, verdict: str = "drift", version: str = "") -> None:
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    version = version or champion.version
    found = drift.DriftVerdict(
        EIGHTH.name,
        day,
        version,
        "",
        "drifted_share",
        0.5,
        0.3,
        100,
        verdict,  # type: ignore[arg-type]
    )
    with writing(workspace.engine) as connection:
        drift.replace(connection, EIGHTH.name, day, version, [found])


def say_worse(workspace: Workspace, basis: str = "live") -> None:
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    figure = performance.Performance(
        EIGHTH.name,
        LATER,
        champion.version,
        "mae",
        basis,
        9.0,
        8.0,
        50,
        False,
        "worse",  # type: ignore[arg-type]
    )
    with writing(workspace.engine) as connection:
        performance.record_all(connection, [figure])


def test_the_drift_sensor_checks_the_newest_scored_day_once(scored: Workspace) -> None:
    request = tick(scored, "drift")
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == LATER.isoformat()
    assert request.run_key == f"repeat_orders:drift:{LATER}:daily"
    say_drift(scored, LATER, "ok")
    assert tick(scored, "drift") == f"{LATER} was checked: ok."


def test_the_drift_sensor_waits_for_the_first_scores(life: Life) -> None:
    assert tick(life.ingested(), "drift") == "Repeat orders was not scored yet."


def test_nothing_is_retrained_without_a_verdict_that_asks_for_it(scored: Workspace) -> None:
    assert tick(scored, "retraining") == "Nothing in its policy asks to retrain Repeat orders."
    say_drift(scored, LATER, "ok")
    say_worse(scored, "backtest")
    assert tick(scored, "retraining") == "Nothing in its policy asks to retrain Repeat orders."


def test_a_drift_verdict_starts_one_run_for_each_cause(scored: Workspace) -> None:
    say_drift(scored, LATER)
    request, again = tick(scored, "retraining"), tick(scored, "retraining")
    assert isinstance(request, dg.RunRequest)
    champion = scored.champion(EIGHTH)
    assert champion is not None
    assert request.run_key == f"repeat_orders:{champion.version}:drift on {LATER}"
    said = f"drift on {LATER}; 80 new labels."
    assert request.tags["sevenfold/why"] == said
    assert again == f"{said} A training was asked for already."
    with writing(scored.engine) as connection:
        job = jobs.get(connection, request.tags["sevenfold/job"])
        assert job is not None
        assert (job.kind, job.state, job.params["reason"]) == ("train", "queued", said)
        job_leases.refuse(connection, job, scored.clock() - timedelta(days=30), "it failed")
    assert tick(scored, "retraining") == again, "what failed would fail again"


def set_policy(workspace: Workspace, **changes: Any) -> None:
    with writing(workspace.engine) as connection:
        policy = replace(policy_of(connection, workspace, EIGHTH), **changes)
        policies.put(connection, policy)


def test_a_policy_may_look_away_from_verdicts(scored: Workspace) -> None:
    set_policy(scored, on_drift=False)
    say_drift(scored, LATER)
    assert tick(scored, "retraining") == "Nothing in its policy asks to retrain Repeat orders."
    say_worse(scored)
    assert isinstance(tick(scored, "retraining"), dg.RunRequest)
    set_policy(scored, on_performance=False)
    assert tick(scored, "retraining") == "Nothing in its policy asks to retrain Repeat orders."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_age_days": 60}, "the champion is 60 days old or more; 80 new labels."),
        ({"new_labels": 80}, "80 labels or more are new; 80 new labels."),
        ({"max_age_days": 61}, "Nothing in its policy asks to retrain Repeat orders."),
        ({"new_labels": 81}, "Nothing in its policy asks to retrain Repeat orders."),
        (
            {"max_age_days": 60, "min_new_labels": 81},
            "the champion is 60 days old or more, but only 80 labels are new; 81 are needed.",
        ),
    ],
)
def test_a_policy_may_ask_for_age_or_new_labels(
    scored: Workspace, changes: dict[str, Any], said: str
) -> None:
    set_policy(scored, **changes)
    asked = tick(scored, "retraining")
    assert (asked.tags["sevenfold/why"] if isinstance(asked, dg.RunRequest) else asked) == said


def test_decisions_worse_than_the_baseline_start_a_training(scored: Workspace) -> None:
    say_worse(scored)
    request = tick(scored, "retraining")
    assert isinstance(request, dg.RunRequest)
    assert "mae worse than the last 30 days" in (request.run_key or "")


def test_drift_of_an_earlier_champion_is_no_cause(scored: Workspace) -> None:
    say_drift(scored, LATER, version="repeat_orders-19990101-0000000000")
    assert tick(scored, "retraining") == "Nothing in its policy asks to retrain Repeat orders."


def test_a_training_cools_down(life: Life, scored: Workspace) -> None:
    say_drift(scored, LATER)
    trained = train(scored, EIGHTH, "run-2")
    say_drift(scored, LATER)
    said = tick(scored, "retraining")
    assert isinstance(said, str)
    ready = datetime(LATER.year, LATER.month, LATER.day, 8, tzinfo=UTC) + timedelta(days=8)
    assert said == f"drift on {LATER}, but the last training cools down until {ready:%F %R}."
    later = life.on(LATER + timedelta(days=8), retrain_min_labels=80)
    request = tick(later, "retraining")
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"repeat_orders:{trained.version}:drift on {LATER}"


def test_a_training_that_was_cancelled_before_it_began_cools_nothing_down(
    scored: Workspace,
) -> None:
    say_drift(scored, LATER)
    with writing(scored.engine) as connection:
        job = jobs.create(connection, "train", EIGHTH.name, "ann", "ann", {})
        jobs.cancel(connection, job.id, scored.clock())
    assert isinstance(tick(scored, "retraining"), dg.RunRequest), "that one never began"


def test_a_training_that_began_and_failed_cools_down_too(scored: Workspace) -> None:
    say_drift(scored, LATER)
    now = scored.clock()
    with writing(scored.engine) as connection:
        jobs.create(connection, "train", EIGHTH.name, "ann", "ann", {})
        [job] = job_leases.claim(connection, "train", now, CLAIM)
        job_leases.start(connection, job.id, job.attempt, "run-9", now, CLAIM)
        job_leases.finish(connection, job.id, job.attempt, "failed", now, "it failed")
    said = tick(scored, "retraining")
    ready = scored.clock() + timedelta(days=7)
    assert said == f"drift on {LATER}, but the last training cools down until {ready:%F %R}."


def test_too_few_new_labels_are_said(life: Life, scored: Workspace) -> None:
    say_drift(scored, LATER)
    strict = life.on(LATER, retrain_min_labels=81)
    assert tick(strict, "retraining") == (
        f"drift on {LATER}, but only 80 labels are new; 81 are needed."
    )


def test_labels_become_known_with_the_data_and_not_with_the_decisions(life: Life) -> None:
    """A week after the first training nobody's decision is a horizon old, yet labels are new."""
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    later = life.ingested(LAST + timedelta(days=15), retrain_min_labels=20)
    score(later, EIGHTH, [LAST + timedelta(days=15)], "daily")
    say_drift(later, LAST + timedelta(days=15))
    assert retraining_due(later, EIGHTH).reason.endswith("; 20 new labels.")
