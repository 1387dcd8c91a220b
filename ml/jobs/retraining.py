"""Trainings that are asked for, by somebody or by a policy, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ml.lifecycle.retraining import Retraining
from ml.models import ModelSpec
from warehouse.database import one_at_a_time
from warehouse.repositories import jobs, models
from warehouse.repositories.jobs import Job
from warehouse.repositories.models import ModelVersion

POLICY = "policy"
FIRM = "sevenfold"
"""The owner of what nobody asked for by hand."""


class TrainingUnderWayError(RuntimeError):
    """The model is being trained already; ``job`` does it."""

    def __init__(self, model: str, job: Job) -> None:
        super().__init__(f"{model} is being trained already by job {job.id} ({job.state})")
        self.job = job


@dataclass(frozen=True)
class Trained:
    """The version that a training job made; ``waits`` for somebody's approval, or not."""

    version: ModelVersion
    promoted: bool
    waits: bool

    def shown(self) -> dict[str, Any]:
        """The version, how it compared on the same later data, and what became of it."""
        champion = self.version.champion_metrics
        return {
            "version": self.version.version,
            "status": self.version.status,
            "known_through": self.version.known_through,
            "metrics": dict(self.version.metrics),
            "baseline_metrics": dict(self.version.baseline),
            "champion_metrics": None if champion is None else dict(champion),
            "gate": dict(self.version.gate),
            "promoted": self.promoted,
            "waits_for_approval": self.waits,
        }


def ask(connection: Connection, spec: ModelSpec, reason: str, owner: str, asked_by: str) -> Job:
    """Queue a training; TrainingUnderWayError where one has not ended."""
    one_at_a_time(connection, f"training of {spec.name}")
    busy = jobs.under_way(connection, "train", spec.name)
    if busy is not None:
        raise TrainingUnderWayError(spec.name, busy)
    return jobs.create(connection, "train", spec.name, owner, asked_by, {"reason": reason})


def ask_by_policy(
    connection: Connection, spec: ModelSpec, verdict: Retraining, claimed_until: datetime
) -> Job | None:
    """A claimed training for this cause; None where one is under way, or did this cause already.

    One that failed is not tried again for the same cause: it would fail again.
    """
    one_at_a_time(connection, f"training of {spec.name}")
    asked_by = f"{POLICY}:{verdict.key}"
    if jobs.under_way(connection, "train", spec.name) or jobs.asked_for(
        connection, "train", asked_by
    ):
        return None
    return jobs.create(
        connection,
        "train",
        spec.name,
        FIRM,
        asked_by,
        {"reason": verdict.reason},
        claimed_until=claimed_until,
    )


def outcome(connection: Connection, job: Job) -> Trained | None:
    """What a training job came to; None while it has made no version."""
    named = (job.result or {}).get("candidate")
    version = None if named is None else models.get(connection, named)
    if version is None:
        return None
    waits = models.waiting(connection, job.model)
    return Trained(
        version,
        promoted=models.was_promoted(connection, version.version),
        waits=waits is not None and waits.version == version.version,
    )
