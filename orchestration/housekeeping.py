"""The house put in order once a day, before what is new is read."""

from __future__ import annotations

import dagster as dg

from assets.housekeeping import remove_old_files
from orchestration.executor import watched

HOUSEKEEPING = "housekeeping"
DAILY_AT = "30 4 * * *"


def housekeeping_job() -> dg.JobDefinition:
    """Files of old jobs."""

    @dg.job(
        name=HOUSEKEEPING,
        executor_def=watched(dg.in_process_executor),
        description="Remove the files of bulk jobs that ended long ago.",
    )
    def housekeeping() -> None:
        remove_old_files()

    return housekeeping


def housekeeping_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Daily at 04:30, local time."""

    @dg.schedule(
        name="daily_housekeeping",
        cron_schedule=DAILY_AT,
        job_name=HOUSEKEEPING,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Remove the files of bulk jobs that ended long ago.",
    )
    def daily_housekeeping(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"housekeeping:{context.scheduled_execution_time:%Y-%m-%d}")

    return daily_housekeeping
