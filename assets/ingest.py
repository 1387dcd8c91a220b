"""Raw tables: the source's rows in the lake, judged and versioned. One op commits all of them."""

from collections.abc import Iterator

import dagster as dg

from assets.refusals import refusals_as_failures
from assets.workspace import WorkspaceResource
from warehouse.contract import TABLES

RAW = "raw"


def raw_key(table: str) -> dg.AssetKey:
    """The asset of a contract table."""
    return dg.AssetKey([RAW, table])


def _quality_check(table: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name="contract",
        asset=raw_key(table),
        description="The quality verdict; a failed one stops every model that uses the table,"
        " in later runs too, until it is fixed or accepted.",
    )


def build_ingestion() -> dg.AssetsDefinition:
    """The multi-asset of all contract tables; a table that the source lacks is left out."""

    @dg.multi_asset(
        name="ingest",
        group_name=RAW,
        specs=[
            dg.AssetSpec(
                raw_key(table.name),
                description=table.description,
                kinds={"deltalake", "greatexpectations"},
                owners=["team:sevenfold"],
                skippable=True,
                metadata={"columns": ", ".join(column.name for column in table.columns)},
            )
            for table in TABLES.values()
        ],
        check_specs=[_quality_check(name) for name in TABLES],
        # Dagster lets a check go without a result only where a part may be asked for.
        can_subset=True,
    )
    def ingest(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        with refusals_as_failures():
            report = workspace.open().ingest(run_id=context.run.run_id)
        context.log.info(report.summary())
        asked = context.selected_asset_keys
        for table in report.tables:
            if raw_key(table.name) not in asked:
                continue
            yield dg.MaterializeResult(
                asset_key=raw_key(table.name),
                data_version=dg.DataVersion(f"{table.name}:{table.version}"),
                metadata={
                    "dagster/row_count": table.rows,
                    "snapshot": report.snapshot,
                    "delta_version": table.version,
                    "inserted": table.inserted,
                    "updated": table.updated,
                    "removed": table.removed,
                    "quarantined": table.quarantined,
                },
                check_results=[
                    dg.AssetCheckResult(
                        asset_key=raw_key(table.name),
                        check_name="contract",
                        passed=table.verdict != "fail",
                        severity=dg.AssetCheckSeverity.ERROR
                        if table.verdict == "fail"
                        else dg.AssetCheckSeverity.WARN,
                        metadata={"verdict": table.verdict, "failed_rules": list(table.failed)},
                    )
                ],
            )

    return ingest
