"""Daily performance and value of a model, on decisions whose outcome is known by then."""

import dagster as dg

from assets.days import describe_day, partition_days
from assets.refusals import refusals_as_failures
from assets.workspace import WorkspaceResource
from ml.lifecycle.monitoring import measure
from ml.models import ModelSpec


def build_performance(
    spec: ModelSpec, partitions: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """The asset ``<model>/performance``."""

    @dg.asset(
        key=[spec.name, "performance"],
        group_name=spec.name,
        kinds={"python", "sql"},
        owners=[spec.owner],
        deps=[dg.AssetKey([spec.name, "scores"])],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"Metrics beside {spec.gate.baseline}, and value in money: {spec.value}."
        " Tables `performance` and `model_value`.",
        check_specs=[
            dg.AssetCheckSpec(
                "beats_baseline",
                asset=[spec.name, "performance"],
                description=f"{spec.gate.metric} better than {spec.gate.baseline}.",
            )
        ],
    )
    def performance(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:
        opened = workspace.open()
        worse = []
        for day in partition_days(context):
            with refusals_as_failures():
                measured = measure(opened, spec, day, run_id=context.run.run_id)
            describe_day(
                context,
                day,
                {
                    "basis": measured.basis,
                    "rows": measured.rows,
                    "verdict": measured.verdict,
                    "value": measured.value_text,
                    **{f"metric_{name}": value for name, value in measured.ours.items()},
                    **{f"baseline_{name}": value for name, value in measured.baseline.items()},
                },
            )
            if measured.verdict == "worse":
                worse.append(str(day))
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name="beats_baseline",
                    passed=not worse,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"worse_days": worse},
                )
            ],
        )

    return [performance]
