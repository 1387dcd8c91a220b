"""Candidate and champion of a model: learn, pass the gate, be promoted."""

import dagster as dg

from assets.ingest import raw_key
from assets.plots import bars
from assets.refusals import refusals_as_failures
from assets.workspace import WorkspaceResource
from ml.lifecycle.training import promote_if_passed, train
from ml.models import ModelSpec


def build_training(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """The assets ``<model>/candidate`` and ``<model>/champion``."""

    @dg.asset(
        key=[spec.name, "candidate"],
        group_name=spec.name,
        kinds={"python"},
        owners=[spec.owner],
        deps=[raw_key(table) for table in sorted(spec.uses)],
        description=f"{spec.question} Learns from what is known, and is compared with"
        f" {spec.gate.baseline} and with the champion on later data.",
        check_specs=[
            dg.AssetCheckSpec(
                "gate",
                asset=[spec.name, "candidate"],
                description="Better than the naive baseline, and than the champion on later data.",
            )
        ],
    )
    def candidate(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:
        with refusals_as_failures():
            trained = train(workspace.open(), spec, run_id=context.run.run_id)
        for reason in trained.gate.reasons:
            context.log.info(reason)
        metrics = trained.comparison.ours
        return dg.MaterializeResult(
            data_version=dg.DataVersion(trained.version),
            metadata={
                "version": trained.version,
                "known_through": str(trained.known_through),
                "data_version": trained.data_version,
                "judged_on": f"{trained.comparison.rows} rows, {trained.comparison.basis}",
                "gate": dg.MetadataValue.md(trained.gate.markdown),
                "plot": bars(
                    [
                        label
                        for name in trained.comparison.baseline
                        for label in (name, f"{name}, {spec.gate.baseline}")
                    ],
                    [
                        value
                        for name in trained.comparison.baseline
                        for value in (metrics[name], trained.comparison.baseline[name])
                    ],
                    f"{spec.title}: ours and the baseline's",
                ),
                **{f"metric_{name}": float(value) for name, value in metrics.items()},
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="gate",
                    passed=trained.gate.passed,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"failed": list(trained.gate.failed)},
                )
            ],
        )

    @dg.asset(
        key=[spec.name, "champion"],
        group_name=spec.name,
        kinds={"python"},
        owners=[spec.owner],
        deps=[dg.AssetKey([spec.name, "candidate"])],
        description="The version that scores: the last word of the promotion log.",
    )
    def champion(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:
        with refusals_as_failures():
            outcome = promote_if_passed(workspace.open(), spec, by=f"run {context.run.run_id}")
        context.log.info(outcome.sentence)
        return dg.MaterializeResult(
            metadata={
                **({"champion": outcome.champion} if outcome.champion else {}),
                "promoted": outcome.promoted,
                "outcome": outcome.sentence,
            }
        )

    return [candidate, champion]
