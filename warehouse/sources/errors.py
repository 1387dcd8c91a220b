"""What a source says when it cannot be read."""

from __future__ import annotations


class SourceError(ValueError):
    """A source that cannot be read; the message says where, what was expected and what to do."""
