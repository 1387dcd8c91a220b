"""What starts runs by itself: missing drift verdicts, due retraining, what people asked for.

A sensor has a minute and Dagster remembers a run key for ever, failed runs too: so each tick does
a few indexed reads, and each key carries what it was asked for.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from assets.workspace import WorkspaceResource
from ml.jobs.retraining import ask_by_policy
from ml.lifecycle.retraining import retraining_due
from ml.models import ModelSpec
from orchestration.abandoned import end_abandoned
from orchestration.intents import CLAIM, build_intents
from orchestration.job_runs import request_run
from orchestration.jobs import JobDefinition, training_job_name
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import drift, scores


def build_sensors(
    specs: Sequence[ModelSpec], jobs_by_name: Mapping[str, JobDefinition], first: date
) -> list[dg.SensorDefinition]:
    """For each model one for drift and one for retraining; those of what people asked for.

    And one that starts nothing, but ends what is dead.
    """
    of_models = [make(spec) for spec in specs for make in (_drift_sensor, _retraining_sensor)]
    return [_abandoned_sensor(), *build_intents(specs, jobs_by_name, first), *of_models]


def _abandoned_sensor() -> dg.SensorDefinition:
    """Free the places of runs that were killed, for those that wait."""

    @dg.sensor(
        name="abandoned_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process was killed, such as that of a"
        " `sevenfold run`, so that others need not wait for them.",
    )
    def abandoned_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        ended = end_abandoned(context.instance)
        if not ended:
            return dg.SkipReason("No run is without its process.")
        return dg.SkipReason(f"Marked as failed: {', '.join(ended)}.")

    return abandoned_sensor


def _drift_sensor(spec: ModelSpec) -> dg.SensorDefinition:
    """Check drift of a scored day that has no verdict yet, such as one of a backfill."""

    @dg.sensor(
        name=f"{spec.name}_drift",
        target=dg.AssetSelection.assets([spec.name, "drift"]),
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Checks drift of {spec.title} for the newest scored day without a verdict.",
    )
    def drift_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> dg.RunRequest | dg.SkipReason:
        opened = workspace.open()
        with reading(opened.engine) as connection:
            day = scores.newest_day(connection, spec.name)
            checked = drift.overall(connection, spec.name, 1)
        if day is None:
            return dg.SkipReason(f"{spec.title} was not scored yet.")
        if checked and checked[0].as_of >= day.as_of:
            return dg.SkipReason(
                f"{day.as_of} was checked: {checked[0].verdict.replace('_', ' ')}."
            )
        return dg.RunRequest(
            run_key=f"{spec.name}:drift:{day.as_of}:{day.run_id}",
            partition_key=day.as_of.isoformat(),
        )

    return drift_sensor


def _retraining_sensor(spec: ModelSpec) -> dg.SensorDefinition:
    """Retrain as the model's policy says: on stored verdicts, age or labels, after a cooldown."""

    @dg.sensor(
        name=f"{spec.name}_retraining",
        job_name=training_job_name(spec),
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Retrains {spec.title} when its policy says so, by stored drift or performance"
        " verdicts, its age or new labels.",
    )
    def retraining_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> dg.RunRequest | dg.SkipReason:
        opened = workspace.open()
        verdict = retraining_due(opened, spec)
        if not verdict.due:
            return dg.SkipReason(verdict.reason)
        with writing(opened.engine) as connection:
            job = ask_by_policy(connection, spec, verdict, utc_now() + CLAIM)
        if job is None:
            return dg.SkipReason(f"{verdict.reason} A training was asked for already.")
        return request_run(job, training_job_name(spec), run_key=verdict.key)

    return retraining_sensor
