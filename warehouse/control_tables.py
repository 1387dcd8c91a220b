"""The tables of what people ask for: jobs with their chunks, schedules, when to retrain."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

# ``next_at`` is null while a schedule is paused or was deleted; a deleted one keeps its
# firings until they are as old as the retention.
schedules = Table(
    "schedules",
    metadata,
    Column("id", text_type(), primary_key=True),
    Column("name", text_type(), nullable=False),
    Column("model", text_type(), nullable=False),
    Column("action", text_type(), nullable=False),
    Column("cron", text_type(), nullable=False),
    Column("timezone", text_type(), nullable=False),
    Column("params", json_type(), nullable=False),
    Column("missed", text_type(), nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("next_at", UtcDateTime),
    Column("owner", text_type(), nullable=False),
    Column("created_by", text_type(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    CheckConstraint("action IN ('bulk', 'score', 'train')", name="action"),
    CheckConstraint("missed IN ('run_once', 'skip')", name="missed"),
    Index(None, "next_at"),
    Index(None, "created_at", "id"),
)

# One row for each time that came due, and one for each run by hand: nothing fires twice.
schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule", text_type(), ForeignKey("schedules.id"), primary_key=True),
    Column("due_at", UtcDateTime, primary_key=True),
    Column("by_hand", Boolean, primary_key=True),
    Column("fired_at", UtcDateTime, nullable=False),
    Column("outcome", text_type(), nullable=False),
    Column("detail", text_type()),
    Column("job", text_type(), ForeignKey("jobs.id")),
    CheckConstraint("outcome IN ('started', 'overlapped', 'missed')", name="outcome"),
    Index(None, "job"),
)

retrain_policies = Table(
    "retrain_policies",
    metadata,
    Column("model", text_type(), primary_key=True),
    Column("on_drift", Boolean, nullable=False),
    Column("on_performance", Boolean, nullable=False),
    Column("max_age_days", Integer),
    Column("new_labels", Integer),
    Column("cooldown_days", Integer, nullable=False),
    Column("min_new_labels", Integer, nullable=False),
    Column("promotion", text_type(), nullable=False),
    Column("changed_by", text_type(), nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    CheckConstraint("promotion IN ('automatic', 'approval')", name="promotion"),
)
