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
    # The moment of measuring is all that older rows tell of it.
    op.execute("UPDATE model_value SET as_of = date(measured_at)")
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
