"""The tables of what people ask for: jobs, their chunks and a sample of their errors."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
)

from warehouse.tables import metadata
from warehouse.types import UtcDateTime, json_type, text_type

# A job's state rests on its own lease: whoever runs it renews ``lease_until``, and ``attempt``
# fences off one that was given up. The counts are those of the finished chunks.
jobs = Table(
    "jobs",
    metadata,
    Column("id", text_type(), primary_key=True),
    Column("kind", text_type(), nullable=False),
    Column("model", text_type(), nullable=False),
    Column("owner", text_type(), nullable=False),
    Column("asked_by", text_type(), nullable=False),
    Column("state", text_type(), nullable=False),
    Column("params", json_type(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("attempt", Integer, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("run_id", text_type()),
    Column("rows_ok", BigInteger, nullable=False),
    Column("rows_error", BigInteger, nullable=False),
    Column("bytes", BigInteger),
    Column("error", text_type()),
    Column("result", json_type()),
    CheckConstraint("kind IN ('bulk', 'score', 'train')", name="kind"),
    CheckConstraint(
        "state IN ('queued', 'running', 'cancelling', 'cancelled', 'completed', 'failed',"
        " 'expired')",
        name="state",
    ),
    Index(None, "owner", "created_at", "id"),
    Index(None, "kind", "state", "created_at"),
    Index(None, "state", "finished_at"),
    Index(None, "created_at", "id"),
)

job_chunks = Table(
    "job_chunks",
    metadata,
    Column("job", text_type(), ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("rows_ok", BigInteger, nullable=False),
    Column("rows_error", BigInteger, nullable=False),
    Column("part", text_type(), nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
)

# A sample of a job's errors; the outcome of every row lies in the parts of its chunks.
job_rows = Table(
    "job_rows",
    metadata,
    Column("job", text_type(), ForeignKey("jobs.id"), primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("code", text_type(), nullable=False),
    Column("detail", text_type(), nullable=False),
)
