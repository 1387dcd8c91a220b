"""The whole pipeline once: the same Dagster jobs that the UI shows, run in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

import dagster as dg

from assets.interrupts import INTERRUPTS
from assets.refusals import TO_MEND
from ml.lifecycle.scoring import scorer
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import Refusal
from orchestration.abandoned import holding
from orchestration.definitions import build_definitions
from orchestration.jobs import INGEST, daily_job_name, training_job_name
from warehouse.database import reading
from warehouse.repositories import models, scores

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Progress = Callable[[str], None]


class RunFailedError(RuntimeError):
    """A Dagster run ended in an error that is nobody's refusal."""


class StoppedError(Refusal):
    """A step's refusal, as Dagster tells it."""

    def __init__(self, sentence: str, to_mend: bool) -> None:
        super().__init__(sentence)
        self.to_mend = to_mend


@dataclass(frozen=True)
class Step:
    """What happened to one model in a run; ``problem`` says why it went no further.

    ``failed`` marks a problem that is an error of ours, not a state of the data; ``to_mend`` any
    that somebody has to mend, which is what a scheduler that calls the command wants to know.
    """

    model: str
    trained: bool = False
    scored: bool = False
    problem: str | None = None
    failed: bool = False
    to_mend: bool = False


def run_pipeline(
    workspace: Workspace,
    specs: Sequence[ModelSpec],
    as_of: date | None,
    progress: Progress,
    train: bool = False,
) -> list[Step]:
    """Ingest, train what has no champion, and score the day; nothing is repeated needlessly.

    A model trains when it has no champion, or none of its candidates saw the present data and
    the newest is a week old; with ``train`` it trains whatever there is. A day is scored again
    only with another champion or other data. A model that fails keeps none of the others from
    their turn.
    """
    with dg.DagsterInstance.get() as instance:
        progress("reading the source")
        definitions = _definitions(workspace, specs)
        _ingest(definitions, instance)
        tables = workspace.data_version().table_versions
        available = [spec for spec in specs if spec.lacking(tables) is None]
        definitions = _definitions(workspace, available)
        day = as_of or workspace.as_of()
        workspace.require_day(day)
        steps = []
        for spec in specs:
            lacking = spec.lacking(tables)
            if lacking:
                steps.append(Step(spec.name, problem=lacking))
                continue
            steps.append(_run_model(workspace, spec, day, definitions, instance, progress, train))
    return steps


def _run_model(
    workspace: Workspace,
    spec: ModelSpec,
    day: date,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    progress: Progress,
    train: bool,
) -> Step:
    trained = scored = False
    try:
        if train or _training_due(workspace, spec):
            progress(f"training {spec.title.lower()}")
            _execute(definitions, training_job_name(spec), instance)
            trained = True
        if _scoring_due(workspace, spec, day):
            progress(f"scoring {spec.title.lower()}")
            _execute(definitions, daily_job_name(spec), instance, partition=day)
            scored = True
    except StoppedError as stopped:
        return Step(spec.name, trained, scored, str(stopped), to_mend=stopped.to_mend)
    except RunFailedError as error:
        return Step(spec.name, trained, scored, str(error), failed=True, to_mend=True)
    return Step(spec.name, trained, scored)


RETRAIN_AFTER_DAYS = 7


def _training_due(workspace: Workspace, spec: ModelSpec) -> bool:
    with reading(workspace.engine) as connection:
        champion = models.champion(connection, spec.name)
        newest = models.latest(connection, spec.name)
    if newest is None:
        return True
    if newest.data_version == workspace.data_version().snapshot:
        return False
    age = (workspace.as_of() - newest.trained_as_of).days
    return champion is None or age >= RETRAIN_AFTER_DAYS


def _scoring_due(workspace: Workspace, spec: ModelSpec, day: date) -> bool:
    with reading(workspace.engine) as connection:
        champion = models.champion(connection, spec.name)
        there = scores.day(connection, spec.name, day)
    if there is None or champion is None:
        return True
    version, _ = scorer(workspace, spec, day, champion.version)
    wanted = (version, workspace.data_version().snapshot)
    return (there.model_version, there.data_version) != wanted


def _definitions(workspace: Workspace, specs: Sequence[ModelSpec]) -> dg.Definitions:
    from orchestration.state import read_state

    start = read_state(workspace.settings).start
    return build_definitions(specs, start, workspace.settings.timezone, workspace)


def _ingest(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Read the source here; what stops it comes back as the error that it was."""
    _run_here(definitions, INGEST, instance, raise_on_error=True)


def _execute(
    definitions: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    partition: date | None = None,
) -> None:
    """Run a model's job here; raises StoppedError for a stated failure, else RunFailedError.

    KeyboardInterrupt where it was interrupted.
    """
    day = partition.isoformat() if partition else None
    result = _run_here(definitions, job, instance, partition_key=day, raise_on_error=False)
    if result.success:
        return
    failure = result.get_step_failure_events()[0].step_failure_data
    told = failure.user_failure_data
    if told is not None:
        raise StoppedError(told.description, bool(told.metadata[TO_MEND].value))
    cause = failure.error.cause or failure.error
    if {kind.__name__ for kind in INTERRUPTS} & {cause.cls_name, failure.error.cls_name}:
        # Whoever stops the command means all of it, not the model it was at.
        raise KeyboardInterrupt
    raise RunFailedError(
        f"{cause.message.strip()} (an error of Sevenfold, not of your data: its trace is with the"
        f" Dagster run {result.run_id[:8]} in the UI)"
    )


def _run_here(
    definitions: dg.Definitions, job: str, instance: dg.DagsterInstance, **more: Any
) -> dg.ExecuteInProcessResult:
    run_id = str(uuid4())
    with holding(instance, run_id):
        return definitions.resolve_job_def(job).execute_in_process(
            instance=instance, run_id=run_id, run_config=QUIET, **more
        )
