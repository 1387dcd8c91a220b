"""What happens that others may be told of: each event, what it means and the fields it carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """A kind of event; ``fields`` are those of its ``data``, always all of them."""

    meaning: str
    fields: tuple[str, ...]


_JOB = ("id", "kind", "model", "state", "rows_ok", "rows_error", "error", "finished_at")
_PROMOTION = ("model", "version", "reason", "decided_by", "decided_at")

EVENTS: Mapping[str, Event] = {
    "job.completed": Event("A background job ended: every row has an outcome.", _JOB),
    "job.failed": Event("A background job ended with an error.", _JOB),
    "job.cancelled": Event("A background job was cancelled.", _JOB),
    "schedule.missed": Event(
        "A schedule's time passed without a run, as Sevenfold was down.",
        ("schedule", "name", "model", "action", "due_at"),
    ),
    "model.promoted": Event("A model has a new champion.", _PROMOTION),
    "model.rolled_back": Event(
        "A model's former champion serves again, or none where `version` is null.",
        _PROMOTION,
    ),
    "retraining.completed": Event(
        "A retraining ended: `promoted` says whether its version serves.",
        ("job", "model", "version", "promoted"),
    ),
    "retraining.awaiting_approval": Event(
        "A version passed its gate and waits for somebody to promote it.",
        ("model", "version"),
    ),
    "drift.detected": Event(
        "A day's inputs drifted from those that the champion learned from.",
        ("model", "as_of", "version"),
    ),
}
"""What webhooks may ask for, by its name."""

TEST = "webhook.test"
"""An event that only asking for it makes, for one webhook; nobody asks for it by name."""
