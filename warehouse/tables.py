"""The warehouse's fixed tables; scored tables are made from each model's Decision instead."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
)

from warehouse.types import UtcDateTime, json_type, text_type

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    # SQLite numbers rows by itself only for a column of exactly this type.
    return Column(
        "id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
    )


firm = Table(
    "firm",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", text_type(), nullable=False),
    Column("start_date", Date),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

data_versions = Table(
    "data_versions",
    metadata,
    Column("snapshot", text_type(), primary_key=True),
    # Clocks step back; the order of snapshots must not.
    Column("ordinal", Integer, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("source", text_type(), nullable=False),
    Column("first_event", Date),
    Column("newest_event", Date),
    Column("table_versions", json_type(), nullable=False),
    Column("row_counts", json_type(), nullable=False),
    Column("quarantined", json_type(), nullable=False),
    Column("run_id", text_type()),
)

quality_verdicts = Table(
    "quality_verdicts",
    metadata,
    _id(),
    Column("table_name", text_type(), nullable=False),
    Column("snapshot", text_type(), nullable=False),
    Column("verdict", text_type(), nullable=False),
    Column("failed_rules", json_type(), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("run_id", text_type()),
    CheckConstraint("verdict IN ('pass', 'warn', 'fail')", name="verdict"),
    UniqueConstraint("table_name", "snapshot"),
)

quality_acceptances = Table(
    "quality_acceptances",
    metadata,
    _id(),
    Column("table_name", text_type(), nullable=False, index=True),
    Column("rule", text_type(), nullable=False),
    Column("figure", Double, nullable=False),
    Column("accepted_by", text_type(), nullable=False),
    Column("reason", text_type(), nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("version", text_type(), primary_key=True),
    Column("model", text_type(), nullable=False),
    Column("trained_at", UtcDateTime, nullable=False),
    Column("trained_as_of", Date, nullable=False),
    Column("known_through", Date, nullable=False),
    Column("data_version", text_type(), nullable=False),
    Column("estimator", text_type(), nullable=False),
    Column("metrics", json_type(), nullable=False),
    Column("baseline", json_type(), nullable=False),
    Column("champion_metrics", json_type()),
    Column("gate", json_type(), nullable=False),
    Column("feature_schema_hash", text_type(), nullable=False),
    Column("artifact", text_type(), nullable=False),
    Column("manifest_sha256", text_type(), nullable=False),
    Column("card", text_type(), nullable=False),
    Column("status", text_type(), nullable=False),
    Column("lock_hash", text_type()),
    Column("details", json_type()),
    CheckConstraint("status IN ('candidate', 'rejected')", name="status"),
    Index(None, "model", "trained_at"),
)

promotions = Table(
    "promotions",
    metadata,
    _id(),
    Column("model", text_type(), nullable=False),
    # Null: from here on the model has no champion.
    Column("version", text_type(), ForeignKey("model_versions.version")),
    Column("action", text_type(), nullable=False),
    Column("reason", text_type(), nullable=False),
    Column("decided_by", text_type(), nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    CheckConstraint("action IN ('promote', 'rollback')", name="action"),
    Index(None, "model", "id"),
)

score_days = Table(
    "score_days",
    metadata,
    Column("model", text_type(), primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("model_version", text_type(), nullable=False),
    Column("data_version", text_type(), nullable=False),
    Column("run_id", text_type(), nullable=False),
    Column("origin", text_type(), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("scored_at", UtcDateTime, nullable=False),
)

online_features = Table(
    "online_features",
    metadata,
    Column("model", text_type(), primary_key=True),
    Column("entity", text_type(), primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("data_version", text_type(), nullable=False),
    Column("schema_hash", text_type(), nullable=False),
    Column("features", json_type(), nullable=False),
    sqlite_with_rowid=False,
)

drift_verdicts = Table(
    "drift_verdicts",
    metadata,
    _id(),
    Column("model", text_type(), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("model_version", text_type(), nullable=False),
    # Empty: the verdict on the whole batch.
    Column("feature", text_type(), nullable=False),
    Column("statistic", text_type(), nullable=False),
    Column("value", Double),
    Column("threshold", Double),
    Column("rows", BigInteger, nullable=False),
    Column("verdict", text_type(), nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("run_id", text_type()),
    CheckConstraint("verdict IN ('ok', 'drift', 'insufficient_data')", name="verdict"),
    UniqueConstraint("model", "as_of", "model_version", "feature", "statistic"),
)

performance = Table(
    "performance",
    metadata,
    _id(),
    Column("model", text_type(), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("model_version", text_type(), nullable=False),
    Column("metric", text_type(), nullable=False),
    Column("basis", text_type(), nullable=False),
    Column("value", Double),
    Column("baseline_value", Double),
    Column("rows", BigInteger, nullable=False),
    Column("in_sample", Boolean, nullable=False),
    Column("verdict", text_type(), nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
    Column("run_id", text_type()),
    UniqueConstraint("model", "as_of", "model_version", "metric", "basis"),
)

model_value = Table(
    "model_value",
    metadata,
    _id(),
    Column("model", text_type(), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("model_version", text_type(), nullable=False),
    Column("basis", text_type(), nullable=False),
    Column("period_from", Date),
    Column("period_to", Date),
    Column("amount", Double),
    Column("low", Double),
    Column("high", Double),
    Column("baseline_amount", Double),
    Column("currency", text_type(), nullable=False),
    Column("assumptions", json_type(), nullable=False),
    Column("reason", text_type()),
    Column("measured_at", UtcDateTime, nullable=False),
    Column("run_id", text_type()),
    CheckConstraint("amount IS NOT NULL OR reason IS NOT NULL", name="amount_or_reason"),
    UniqueConstraint("model", "as_of", "model_version", "basis"),
)

# The secret's hash alone: of at least 128 random bits, so that no salt or slow hash is needed.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", text_type(), primary_key=True),
    Column("owner", text_type(), nullable=False, index=True),
    Column("name", text_type(), nullable=False),
    Column("role", text_type(), nullable=False),
    Column("tier", text_type(), nullable=False),
    Column("secret_hash", text_type(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", text_type(), nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("rotated_from", text_type(), ForeignKey("api_keys.id"), index=True),
    CheckConstraint("role IN ('read', 'write', 'admin')", name="role"),
    Index(None, "created_at", "id"),
)

audit_log = Table(
    "audit_log",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", text_type(), nullable=False),
    Column("key_id", text_type()),
    Column("action", text_type(), nullable=False),
    Column("subject", text_type(), nullable=False),
    Column("details", json_type(), nullable=False),
    Column("request_id", text_type()),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", text_type(), primary_key=True),
    Column("method", text_type(), primary_key=True),
    Column("path", text_type(), primary_key=True),
    Column("key", text_type(), primary_key=True),
    Column("body_hash", text_type(), nullable=False),
    Column("state", text_type(), nullable=False),
    Column("status", Integer),
    Column("response", LargeBinary),
    Column("headers", json_type()),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("finished_at", UtcDateTime),
    CheckConstraint("state IN ('in_flight', 'done', 'secret')", name="state"),
    # A secret that was shown once must not lie here, whoever writes.
    CheckConstraint("state = 'done' OR response IS NULL", name="response"),
)
