"""What whoever joins the parts of a job has to know of them, and is asked."""

from __future__ import annotations

import msgspec

GONE = 3
"""The status of a process that could not read a part."""
ALIKE = ("outcome", "model_version", "data_version", "inputs")
"""Columns of outcomes that say one of few things: dictionaries in the parts."""


class Join(msgspec.Struct):
    """Which parts of which job to write, in which form, and only of which outcome."""

    root: str
    work: str
    job: str
    parts: list[str]
    columns: dict[str, str]
    form: str
    outcome: str | None = None
