"""The tables of callbacks: who wants to be told of what, and what was delivered."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table

from warehouse.control_tables import metadata
from warehouse.types import UtcDateTime, json_type, text_type

# Secrets are sealed (``warehouse/sealing.py``). The old one signs too until ``old_until``.
# ``failing_since`` is the first failure since the last success.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", text_type(), primary_key=True),
    Column("owner", text_type(), nullable=False),
    Column("url", text_type(), nullable=False),
    Column("events", json_type(), nullable=False),
    Column("secret", text_type(), nullable=False),
    Column("old_secret", text_type()),
    Column("old_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", text_type(), nullable=False),
    Column("failing_since", UtcDateTime),
    Column("disabled_at", UtcDateTime),
    Column("disabled_why", text_type()),
    Index(None, "owner", "created_at", "id"),
)

# ``tries`` are the attempts since it was made or replayed, ``attempts`` says how each of all went.
# ``claim`` is the number of the present or last claim: what an earlier one still says is refused.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", text_type(), primary_key=True),
    Column("webhook", text_type(), ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event", text_type(), nullable=False),
    Column("body", text_type(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", text_type(), nullable=False),
    Column("attempts", json_type(), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("claim", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Column("lease_until", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    Index(None, "state", "next_at"),
    Index(None, "webhook", "created_at", "id"),
    Index(None, "created_at"),
)
