"""Whether a model should be trained again, from what the warehouse already knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.repositories import drift, models, performance, scores

DAYS_A_SNAPSHOT = 30


@dataclass(frozen=True)
class Retraining:
    """Due or not, why in one sentence, and a key that names this very cause."""

    due: bool
    reason: str
    key: str = ""


def retraining_due(workspace: Workspace, spec: ModelSpec) -> Retraining:
    """Due where a verdict asks for it, the cooldown has passed and enough labels are new.

    Reads the newest drift verdict and the newest live performance of the champion. Trainings
    learn from one snapshot a month, so each day of data that came since the champion's training
    makes a thirtieth of a snapshot's labels known, whether or not anybody scored that long ago.
    """
    with reading(workspace.engine) as connection:
        champion = models.champion(connection, spec.name)
        newest = models.latest(connection, spec.name)
        drifted = drift.overall(connection, spec.name, 1)
        measured = performance.over_time(connection, spec.name, spec.gate.metric, 1)
        scored = scores.newest_day(connection, spec.name)
    if champion is None or newest is None:
        return Retraining(False, f"{spec.title} has no champion: its schedule trains it.")
    cause = None
    if drifted and drifted[0].model_version == champion.version and drifted[0].verdict == "drift":
        cause = f"drift on {drifted[0].as_of}"
    elif (
        measured
        and measured[0].model_version == champion.version
        and measured[0].basis == "live"
        and measured[0].verdict == "worse"
    ):
        cause = f"{spec.gate.metric} worse than {spec.gate.baseline} on {measured[0].as_of}"
    if cause is None:
        return Retraining(False, f"No stored verdict asks to retrain {spec.title}.")
    cooldown = timedelta(days=workspace.ml.retrain_cooldown_days)
    ready_at = newest.trained_at + cooldown
    if workspace.clock() < ready_at:
        return Retraining(
            False, f"{cause}, but the last training cools down until {ready_at:%F %R}."
        )
    days = (workspace.as_of() - champion.trained_as_of).days
    labels = (scored.rows if scored else 0) * days // DAYS_A_SNAPSHOT
    least = workspace.ml.retrain_min_labels
    if labels < least:
        return Retraining(False, f"{cause}, but only {labels} labels are new; {least} are needed.")
    return Retraining(
        True, f"{cause}; {labels} new labels.", f"{spec.name}:{newest.version}:{cause}"
    )
