"""Schedules that people make, the times at which they fired, and when models are retrained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Frozen here: a migration must not change when the code around it does.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)
TABLES = (
    "schedules",
    "schedule_runs",
    "retrain_policies",
)


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("cron", TEXT, nullable=False),
        sa.Column("timezone", TEXT, nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("missed", TEXT, nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("next_at", INSTANT, nullable=True),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("deleted_at", INSTANT, nullable=True),
        sa.CheckConstraint("action IN ('bulk', 'score', 'train')", name=op.f("ck_schedules_action")),
        sa.CheckConstraint("missed IN ('run_once', 'skip')", name=op.f("ck_schedules_missed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    op.create_index("ix_schedules_created_at_id", "schedules", ["created_at", "id"])
    op.create_table(
        "schedule_runs",
        sa.Column("schedule", TEXT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("fired_at", INSTANT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=True),
        sa.Column("job", TEXT, nullable=True),
        sa.CheckConstraint(
            "outcome IN ('started', 'overlapped', 'missed')", name=op.f("ck_schedule_runs_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["schedule"], ["schedules.id"], name=op.f("fk_schedule_runs_schedule")
        ),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_schedule_runs_job")),
        sa.PrimaryKeyConstraint("schedule", "due_at", "by_hand", name=op.f("pk_schedule_runs")),
    )
    op.create_index("ix_schedule_runs_job", "schedule_runs", ["job"])
    op.create_table(
        "retrain_policies",
        sa.Column("model", TEXT, nullable=False),
        sa.Column("on_drift", sa.Boolean(), nullable=False),
        sa.Column("on_performance", sa.Boolean(), nullable=False),
        sa.Column("max_age_days", sa.Integer(), nullable=True),
        sa.Column("new_labels", sa.Integer(), nullable=True),
        sa.Column("cooldown_days", sa.Integer(), nullable=False),
        sa.Column("min_new_labels", sa.Integer(), nullable=False),
        sa.Column("promotion", TEXT, nullable=False),
        sa.Column("changed_by", TEXT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "promotion IN ('automatic', 'approval')", name=op.f("ck_retrain_policies_promotion")
        ),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_retrain_policies")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Analysts read decisions; who asked for what, and when, is not theirs to see.
        names = ", ".join(TABLES)
        op.execute(f"REVOKE ALL ON {names} FROM PUBLIC")
        op.execute(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sevenfold_analyst') THEN"
            f" REVOKE ALL ON {names} FROM sevenfold_analyst;"
            " END IF; END $$"
        )


def downgrade() -> None:
    for name in reversed(TABLES):
        op.drop_table(name)
