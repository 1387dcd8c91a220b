"""When things run by themselves: a daily refresh, and a weekly training."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg

from ml.models import ModelSpec
from orchestration.jobs import CLIENT_FEATURES, INGEST, daily_job_name, training_job_name

DAILY_AT = "0 5 * * *"
SCORE_AT = "30 5 * * *"
TRAIN_AT = "0 6 * * 1"


def build_schedules(specs: Sequence[ModelSpec], timezone: str) -> list[dg.ScheduleDefinition]:
    """Ingestion daily at 05:00, scoring at 05:30, training on Mondays at 06:00, local time.

    That of client features stands still until somebody who reads them starts it.
    """

    @dg.schedule(
        name="daily_ingest",
        cron_schedule=DAILY_AT,
        job_name=INGEST,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Read what is new in the source.",
    )
    def daily_ingest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"ingest:{context.scheduled_execution_time:%Y-%m-%d}")

    def of_yesterday(
        name: str, job: str, key: str, description: str, status: dg.DefaultScheduleStatus
    ) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=name,
            cron_schedule=SCORE_AT,
            job_name=job,
            execution_timezone=timezone,
            default_status=status,
            description=description,
        )
        def daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
            day = (context.scheduled_execution_time - timedelta(days=1)).date()
            yield dg.RunRequest(run_key=f"{key}:{day}", partition_key=day.isoformat())

        return daily

    def scoring(spec: ModelSpec) -> dg.ScheduleDefinition:
        return of_yesterday(
            f"{spec.name}_daily_scores",
            daily_job_name(spec),
            f"{spec.name}:scores",
            f"Score yesterday: {spec.title}.",
            dg.DefaultScheduleStatus.RUNNING,
        )

    features = of_yesterday(
        f"daily_{CLIENT_FEATURES}",
        CLIENT_FEATURES,
        CLIENT_FEATURES,
        "Store yesterday's client features. Start it where analysts read them in the lake.",
        dg.DefaultScheduleStatus.STOPPED,
    )

    def training(spec: ModelSpec) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=f"{spec.name}_weekly_training",
            cron_schedule=TRAIN_AT,
            job_name=training_job_name(spec),
            execution_timezone=timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Train {spec.title} on what is known by now.",
        )
        def weekly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
            return dg.RunRequest(
                run_key=f"{spec.name}:train:{context.scheduled_execution_time:%Y-%m-%d}"
            )

        return weekly_training

    return [daily_ingest, features, *(make(spec) for spec in specs for make in (scoring, training))]
