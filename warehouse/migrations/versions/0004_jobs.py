"""Background jobs: bulk files, scoring and training that people ask for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Frozen here: a migration must not change when the code around it does.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)
TABLES = (
    "jobs",
    "job_chunks",
    "job_rows",
)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("asked_by", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("rows_ok", sa.BigInteger(), nullable=False),
        sa.Column("rows_error", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.CheckConstraint("kind IN ('bulk', 'score', 'train')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'cancelling', 'cancelled', 'completed', 'failed',"
            " 'expired')",
            name=op.f("ck_jobs_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.create_index("ix_jobs_kind_state_created_at", "jobs", ["kind", "state", "created_at"])
    op.create_index("ix_jobs_state_finished_at", "jobs", ["state", "finished_at"])
    op.create_index("ix_jobs_owner_created_at_id", "jobs", ["owner", "created_at", "id"])
    op.create_table(
        "job_chunks",
        sa.Column("job", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rows_ok", sa.BigInteger(), nullable=False),
        sa.Column("rows_error", sa.BigInteger(), nullable=False),
        sa.Column("part", TEXT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_job_chunks_job")),
        sa.PrimaryKeyConstraint("job", "number", name=op.f("pk_job_chunks")),
    )
    op.create_table(
        "job_rows",
        sa.Column("job", TEXT, nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_job_rows_job")),
        sa.PrimaryKeyConstraint("job", "line", name=op.f("pk_job_rows")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Analysts read decisions; what people asked for may hold what is theirs alone.
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
