"""A value belongs to the day through which outcomes were known; measuring it again replaces it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UNIQUE = "uq_model_value_model_as_of_model_version_basis"


def upgrade() -> None:
    op.add_column("model_value", sa.Column("as_of", sa.Date(), nullable=True))
    # A backtest knows outcomes up to its training's day; what was live was measured with the
    # performance of its run. Where neither is there, the day of measuring is all that is left.
    op.execute(
        "UPDATE model_value SET as_of = coalesce("
        " CASE WHEN basis = 'backtest' THEN (SELECT v.known_through FROM model_versions v"
        "   WHERE v.version = model_value.model_version) END,"
        " (SELECT max(p.as_of) FROM performance p WHERE p.model = model_value.model"
        "   AND p.model_version = model_value.model_version AND p.basis = model_value.basis"
        "   AND p.run_id = model_value.run_id),"
        " date(measured_at))"
    )
    op.execute(
        "DELETE FROM model_value WHERE id NOT IN"
        " (SELECT max(id) FROM model_value GROUP BY model, as_of, model_version, basis)"
    )
    op.drop_index("ix_model_value_model_measured_at", "model_value")
    with op.batch_alter_table("model_value") as table:
        table.alter_column("as_of", existing_type=sa.Date(), nullable=False)
        table.create_unique_constraint(UNIQUE, ["model", "as_of", "model_version", "basis"])


def downgrade() -> None:
    with op.batch_alter_table("model_value") as table:
        table.drop_constraint(UNIQUE, type_="unique")
        table.drop_column("as_of")
    op.create_index("ix_model_value_model_measured_at", "model_value", ["model", "measured_at"])
