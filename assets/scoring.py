"""Daily decisions of a model, in the warehouse."""

from datetime import timedelta

import dagster as dg

from assets.days import describe_day, partition_days
from assets.plots import histogram
from assets.refusals import refusals_as_failures
from assets.workspace import WorkspaceResource
from ml.lifecycle.scoring import score
from ml.models import ModelSpec

# A day is scored on the morning after it, whatever starts the run; the daemon looks at the clock.
LATE_AFTER = timedelta(hours=30)
STALE_AFTER = timedelta(hours=48)


def build_scores(
    spec: ModelSpec, partitions: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """The asset ``<model>/scores``: one partition a day, a backfill in a single run."""

    @dg.asset(
        key=[spec.name, "scores"],
        group_name=spec.name,
        kinds={"python", "sql"},
        owners=[spec.owner],
        deps=[dg.AssetKey([spec.name, "champion"])],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=STALE_AFTER, warn_window=LATE_AFTER
        ),
        description=f"{spec.decides} One row: {spec.row}. Table `{spec.scores_table}`.",
        check_specs=[
            dg.AssetCheckSpec(
                "has_rows",
                asset=[spec.name, "scores"],
                description="Every scored day holds at least one decision.",
            )
        ],
    )
    def scores(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:
        days = partition_days(context)
        with refusals_as_failures():
            scored = score(workspace.open(), spec, days, run_id=context.run.run_id)
        for day in scored:
            describe_day(
                context,
                day.as_of,
                {
                    "dagster/partition_row_count": day.rows,
                    "model_version": day.model_version,
                    "data_version": day.data_version,
                    "origin": day.origin,
                    "plot": histogram(day.headline, f"{spec.title} on {day.as_of}"),
                },
            )
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name="has_rows",
                    passed=all(day.rows for day in scored),
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"empty_days": [str(d.as_of) for d in scored if not d.rows]},
                )
            ],
        )

    return [scores]
