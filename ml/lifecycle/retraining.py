"""Whether a model should be trained again, by its policy and what the warehouse already knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.repositories import drift, jobs, models, performance, policies, scores
from warehouse.repositories.models import ModelVersion
from warehouse.repositories.policies import RetrainPolicy

DAYS_A_SNAPSHOT = 30


@dataclass(frozen=True)
class Retraining:
    """Due or not, why in one sentence, and a key that names this very cause."""

    due: bool
    reason: str
    key: str = ""


def policy_of(connection: Connection, workspace: Workspace, spec: ModelSpec) -> RetrainPolicy:
    """The model's stored policy, else that of the settings."""
    stored = policies.get(connection, spec.name)
    return stored or RetrainPolicy(
        model=spec.name,
        on_drift=True,
        on_performance=True,
        max_age_days=None,
        new_labels=None,
        cooldown_days=workspace.ml.retrain_cooldown_days,
        min_new_labels=workspace.ml.retrain_min_labels,
        promotion="automatic",
        changed_by="settings",
        changed_at=workspace.clock(),
    )


def retraining_due(workspace: Workspace, spec: ModelSpec) -> Retraining:
    """Due where a trigger of the policy asks for it, and neither cooldown nor labels hold it back.

    Reads the newest drift verdict and the newest live performance of the champion. Trainings
    learn from one snapshot a month, so each day of data that came since the champion's training
    makes a thirtieth of a snapshot's labels known, whether or not anybody scored that long ago.
    """
    with reading(workspace.engine) as connection:
        policy = policy_of(connection, workspace, spec)
        champion = models.champion(connection, spec.name)
        newest = models.latest(connection, spec.name)
        ended = jobs.last_ended(connection, "train", spec.name)
        scored = scores.newest_day(connection, spec.name)
        if champion is None or newest is None:
            return Retraining(False, f"{spec.title} has no champion: its schedule trains it.")
        days = (workspace.as_of() - champion.trained_as_of).days
        labels = (scored.rows if scored else 0) * days // DAYS_A_SNAPSHOT
        cause = _verdict(connection, spec, policy, champion)
    if cause is None:
        cause = _passing_of_time(workspace, policy, champion, labels)
    if cause is None:
        return Retraining(False, f"Nothing in its policy asks to retrain {spec.title}.")
    last = newest.trained_at
    if ended is not None and ended.finished_at is not None:
        last = max(last, ended.finished_at)  # one that failed, or was cancelled, left no version
    ready_at = last + timedelta(days=policy.cooldown_days)
    if workspace.clock() < ready_at:
        return Retraining(
            False, f"{cause}, but the last training cools down until {ready_at:%F %R}."
        )
    if labels < policy.min_new_labels:
        return Retraining(
            False, f"{cause}, but only {labels} labels are new; {policy.min_new_labels} are needed."
        )
    return Retraining(
        True, f"{cause}; {labels} new labels.", f"{spec.name}:{newest.version}:{cause}"
    )


def _verdict(
    connection: Connection, spec: ModelSpec, policy: RetrainPolicy, champion: ModelVersion
) -> str | None:
    """What the newest stored verdicts about the champion say, where the policy asks them."""
    drifted = drift.overall(connection, spec.name, 1) if policy.on_drift else []
    if drifted and drifted[0].model_version == champion.version and drifted[0].verdict == "drift":
        return f"drift on {drifted[0].as_of}"
    if not policy.on_performance:
        return None
    measured = performance.over_time(connection, spec.name, spec.gate.metric, 1)
    if (
        measured
        and measured[0].model_version == champion.version
        and measured[0].basis == "live"
        and measured[0].verdict == "worse"
    ):
        return f"{spec.gate.metric} worse than {spec.gate.baseline} on {measured[0].as_of}"
    return None


def _passing_of_time(
    workspace: Workspace, policy: RetrainPolicy, champion: ModelVersion, labels: int
) -> str | None:
    age = (workspace.clock() - champion.trained_at).days
    if policy.max_age_days is not None and age >= policy.max_age_days:
        return f"the champion is {policy.max_age_days} days old or more"
    if policy.new_labels is not None and labels >= policy.new_labels:
        return f"{policy.new_labels} labels or more are new"
    return None
