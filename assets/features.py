"""Features of clients as of a day, kept in the lake for analysts and other tools."""

import dagster as dg

from assets.days import describe_day, partition_days
from assets.ingest import raw_key
from assets.refusals import refusals_as_failures
from assets.workspace import WorkspaceResource
from ml.lifecycle.feature_store import CLIENT_TABLES, store_client_features

FEATURES = "features"


def build_features(partitions: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The asset ``features/client``: one Delta partition a day."""

    @dg.asset(
        key=[FEATURES, "client"],
        group_name=FEATURES,
        kinds={"deltalake", "python"},
        owners=["team:sevenfold"],
        deps=[raw_key(table) for table in CLIENT_TABLES],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="Point-in-time features of every client active in the last year. A cache:"
        " training, scoring and replay compute the same figures from the raw tables.",
    )
    def client(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:
        with refusals_as_failures():
            stored = store_client_features(workspace.open(), partition_days(context))
        for day, rows in stored.rows.items():
            describe_day(context, day, {"dagster/partition_row_count": rows})
        return dg.MaterializeResult(
            metadata={
                "delta_version": stored.version,
                "data_version": stored.data_version,
                "schema_hash": stored.schema_hash,
                "columns": len(stored.columns),
                "names": dg.MetadataValue.md("\n".join(f"- `{name}`" for name in stored.columns)),
            }
        )

    return [client]
