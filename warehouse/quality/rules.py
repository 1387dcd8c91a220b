"""What a rule is: a figure that must stay within its limits, and what to say where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Failing any of these means that the export itself is broken: the table keeps its last version,
#: until the source is mended or someone accepts the rule.
_STRUCTURAL = ("empty", "missing_table", "missing_column", "empty_column", "repeated", "removed")


@dataclass(frozen=True)
class Limits:
    """Shares of rows above which a table warns or fails.

    ``repeated_fail`` lies below one half, which is what a table that came twice has.
    """

    quarantine_warn: float = 0.001
    quarantine_fail: float = 0.05
    repeated_warn: float = 0.05
    repeated_fail: float = 0.4
    removed_warn: float = 0.1
    removed_fail: float = 0.5


@dataclass(frozen=True)
class Rule:
    """A rule's figure (0 is perfect, the greater the worse) and the limits it must not pass."""

    name: str
    figure: float
    message: str
    warn_above: float | None = None
    fail_above: float | None = None
    examples: Sequence[Mapping[str, Any]] = ()


def structural(name: str) -> bool:
    """Whether a failed rule keeps the export from being applied."""
    return name.partition(":")[0] in _STRUCTURAL
