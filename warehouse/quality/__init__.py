"""Quality of ingested tables: figures by DuckDB, judged by Great Expectations suites."""

from __future__ import annotations

from warehouse.quality.figures import Batch, batch_rules, snapshot_rules
from warehouse.quality.rules import Limits, Rule, structural
from warehouse.quality.suite import judge

__all__ = [
    "Batch",
    "Limits",
    "Rule",
    "batch_rules",
    "judge",
    "snapshot_rules",
    "structural",
]
