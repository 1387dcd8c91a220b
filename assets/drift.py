"""Daily drift verdicts: a day's inputs against the champion's reference."""

import dagster as dg

from assets.days import describe_day, partition_days
from assets.plots import bars
from assets.refusals import refusals_as_failures
from assets.workspace import WorkspaceResource
from ml.lifecycle.monitoring import check_drift
from ml.models import ModelSpec


def build_drift(
    spec: ModelSpec, partitions: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """The asset ``<model>/drift``."""

    @dg.asset(
        key=[spec.name, "drift"],
        group_name=spec.name,
        kinds={"python", "sql"},
        owners=[spec.owner],
        deps=[dg.AssetKey([spec.name, "scores"])],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="PSI, KS, missing and new-category shares against the champion's reference,"
        " with thresholds that know the batch size. Table `drift_verdicts`.",
        check_specs=[
            dg.AssetCheckSpec(
                "drift",
                asset=[spec.name, "drift"],
                description="Fewer than a third of the inputs have drifted.",
            )
        ],
    )
    def drift(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:
        days = partition_days(context)
        with refusals_as_failures():
            checked = check_drift(workspace.open(), spec, days, run_id=context.run.run_id)
        for day, (overall, *columns) in checked.items():
            largest = sorted(
                (row for row in columns if row.statistic == "psi" and row.value is not None),
                key=lambda row: -(row.value or 0.0),
            )[:10]
            describe_day(
                context,
                day,
                {
                    "verdict": overall.verdict,
                    "rows": overall.rows,
                    "drifted_share": overall.value if overall.value is not None else "not measured",
                    "plot": bars(
                        [row.column for row in largest],
                        [row.value or 0.0 for row in largest],
                        "Largest PSI",
                    ),
                },
            )
        drifted = [str(day) for day, rows in checked.items() if rows[0].verdict == "drift"]
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name="drift",
                    passed=not drifted,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"drifted_days": drifted},
                )
            ],
        )

    return [drift]
