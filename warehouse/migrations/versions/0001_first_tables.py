"""The tables that ingestion, training, scoring and monitoring write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Frozen here: a migration must not change when the code around it does.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "data_versions",
        sa.Column("snapshot", TEXT, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("first_event", sa.Date(), nullable=True),
        sa.Column("newest_event", sa.Date(), nullable=True),
        sa.Column("table_versions", JSON, nullable=False),
        sa.Column("row_counts", JSON, nullable=False),
        sa.Column("quarantined", JSON, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("snapshot", name=op.f("pk_data_versions")),
        sa.UniqueConstraint("ordinal", name=op.f("uq_data_versions_ordinal")),
    )
    op.create_table(
        "drift_verdicts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("model_version", TEXT, nullable=False),
        sa.Column("feature", TEXT, nullable=False),
        sa.Column("statistic", TEXT, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.CheckConstraint(
            "verdict IN ('ok', 'drift', 'insufficient_data')",
            name=op.f("ck_drift_verdicts_verdict"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_verdicts")),
        sa.UniqueConstraint(
            "model",
            "as_of",
            "model_version",
            "feature",
            "statistic",
            name=op.f("uq_drift_verdicts_model_as_of_model_version_feature_statistic"),
        ),
    )
    op.create_table(
        "firm",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("start_date", sa.Date(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_firm_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firm")),
    )
    op.create_table(
        "model_value",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("model_version", TEXT, nullable=False),
        sa.Column("basis", TEXT, nullable=False),
        sa.Column("period_from", sa.Date(), nullable=True),
        sa.Column("period_to", sa.Date(), nullable=True),
        sa.Column("amount", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("baseline_amount", sa.Double(), nullable=True),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("assumptions", JSON, nullable=False),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("measured_at", INSTANT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.CheckConstraint(
            "amount IS NOT NULL OR reason IS NOT NULL", name=op.f("ck_model_value_amount_or_reason")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_value")),
    )
    op.create_index("ix_model_value_model_measured_at", "model_value", ["model", "measured_at"])
    op.create_table(
        "model_versions",
        sa.Column("version", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("trained_at", INSTANT, nullable=False),
        sa.Column("trained_as_of", sa.Date(), nullable=False),
        sa.Column("known_through", sa.Date(), nullable=False),
        sa.Column("data_version", TEXT, nullable=False),
        sa.Column("estimator", TEXT, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("baseline", JSON, nullable=False),
        sa.Column("champion_metrics", JSON, nullable=True),
        sa.Column("gate", JSON, nullable=False),
        sa.Column("feature_schema_hash", TEXT, nullable=False),
        sa.Column("artifact", TEXT, nullable=False),
        sa.Column("manifest_sha256", TEXT, nullable=False),
        sa.Column("card", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("lock_hash", TEXT, nullable=True),
        sa.Column("details", JSON, nullable=True),
        sa.CheckConstraint(
            "status IN ('candidate', 'rejected')", name=op.f("ck_model_versions_status")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_model_versions")),
    )
    op.create_index("ix_model_versions_model_trained_at", "model_versions", ["model", "trained_at"])
    op.create_table(
        "online_features",
        sa.Column("model", TEXT, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("data_version", TEXT, nullable=False),
        sa.Column("schema_hash", TEXT, nullable=False),
        sa.Column("features", JSON, nullable=False),
        sa.PrimaryKeyConstraint("model", "entity", name=op.f("pk_online_features")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "performance",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("model_version", TEXT, nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column("basis", TEXT, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("baseline_value", sa.Double(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("in_sample", sa.Boolean(), nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("measured_at", INSTANT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performance")),
        sa.UniqueConstraint(
            "model",
            "as_of",
            "model_version",
            "metric",
            "basis",
            name=op.f("uq_performance_model_as_of_model_version_metric_basis"),
        ),
    )
    op.create_table(
        "quality_acceptances",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("table_name", TEXT, nullable=False),
        sa.Column("rule", TEXT, nullable=False),
        sa.Column("figure", sa.Double(), nullable=False),
        sa.Column("accepted_by", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("accepted_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quality_acceptances")),
    )
    op.create_index("ix_quality_acceptances_table_name", "quality_acceptances", ["table_name"])
    op.create_table(
        "quality_verdicts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("table_name", TEXT, nullable=False),
        sa.Column("snapshot", TEXT, nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("failed_rules", JSON, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.CheckConstraint(
            "verdict IN ('pass', 'warn', 'fail')", name=op.f("ck_quality_verdicts_verdict")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quality_verdicts")),
        sa.UniqueConstraint(
            "table_name", "snapshot", name=op.f("uq_quality_verdicts_table_name_snapshot")
        ),
    )
    op.create_table(
        "score_days",
        sa.Column("model", TEXT, nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("model_version", TEXT, nullable=False),
        sa.Column("data_version", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("scored_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("model", "as_of", name=op.f("pk_score_days")),
    )
    op.create_table(
        "promotions",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=True),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("decided_by", TEXT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.CheckConstraint("action IN ('promote', 'rollback')", name=op.f("ck_promotions_action")),
        sa.ForeignKeyConstraint(
            ["version"], ["model_versions.version"], name=op.f("fk_promotions_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
    )
    op.create_index("ix_promotions_model_id", "promotions", ["model", "id"])


def downgrade() -> None:
    op.drop_index("ix_promotions_model_id", "promotions")
    op.drop_table("promotions")
    op.drop_table("score_days")
    op.drop_table("quality_verdicts")
    op.drop_index("ix_quality_acceptances_table_name", "quality_acceptances")
    op.drop_table("quality_acceptances")
    op.drop_table("performance")
    op.drop_table("online_features")
    op.drop_index("ix_model_versions_model_trained_at", "model_versions")
    op.drop_table("model_versions")
    op.drop_index("ix_model_value_model_measured_at", "model_value")
    op.drop_table("model_value")
    op.drop_table("firm")
    op.drop_table("drift_verdicts")
    op.drop_table("data_versions")
