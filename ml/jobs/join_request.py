"""What the process that joins the parts of a job is asked, and how it ends where it cannot."""

from __future__ import annotations

import msgspec

GONE = 3
"""The status of a process that could not read a part."""


class Join(msgspec.Struct):
    """Which parts of which job to write, in which form, and only of which outcome."""

    root: str
    work: str
    job: str
    parts: list[str]
    columns: dict[str, str]
    form: str
    outcome: str | None = None
