"""What starts runs between schedules: files that wait, missing drift verdicts, due retraining.

A sensor has a minute and Dagster remembers a run key for ever, failed runs too: so each tick does
a few indexed reads, and each key carries what it was asked for.
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from assets.bulk import BulkFile
from assets.workspace import WorkspaceResource
from ml.lifecycle.retraining import retraining_due
from ml.models import ModelSpec
from orchestration.abandoned import end_abandoned
from orchestration.jobs import BULK, training_job_name
from warehouse.database import reading, utc_now, writing
from warehouse.faults import reach
from warehouse.repositories import drift, jobs, scores

CLAIM = timedelta(minutes=10)
"""How long a claimed job may wait for its run; after it another run is asked for."""


def build_sensors(specs: Sequence[ModelSpec]) -> list[dg.SensorDefinition]:
    """For each model one sensor for drift and one for retraining; one for jobs that wait.

    And one that starts nothing, but ends what is dead.
    """
    of_models = [make(spec) for spec in specs for make in (_drift_sensor, _retraining_sensor)]
    return [_abandoned_sensor(), _bulk_sensor(), *of_models]


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


def _bulk_sensor() -> dg.SensorDefinition:
    """A run for each bulk job that waits, and for each whose run has died."""

    @dg.sensor(
        name="bulk_files",
        job_name=BULK,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run for each file that somebody sent to be answered.",
    )
    def bulk_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        with writing(workspace.open().engine) as connection:
            claimed = jobs.claim(connection, "bulk", utc_now(), CLAIM)
        reach("job-claimed")
        if not claimed:
            return dg.SkipReason("No file waits.")
        return [
            dg.RunRequest(
                run_key=f"{job.id}:{job.attempt}",
                run_config=dg.RunConfig(
                    ops={"answer_file": BulkFile(job_id=job.id, attempt=job.attempt)}
                ),
                tags={"sevenfold/job": job.id, "sevenfold/model": job.model},
            )
            for job in claimed
        ]

    return bulk_sensor


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
    """Retrain on stored drift or performance verdicts, after a cooldown and with new labels."""

    @dg.sensor(
        name=f"{spec.name}_retraining",
        job_name=training_job_name(spec),
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Retrains {spec.title} when its stored drift or performance verdicts say so.",
    )
    def retraining_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> dg.RunRequest | dg.SkipReason:
        verdict = retraining_due(workspace.open(), spec)
        if not verdict.due:
            return dg.SkipReason(verdict.reason)
        return dg.RunRequest(run_key=verdict.key, tags={"sevenfold/why": verdict.reason[:60]})

    return retraining_sensor
