"""Point-in-time features: declare what to know about an entity, compute it as of any days.

Nothing known after a date can reach that date's figures. See ``engine.compute``.
"""

from __future__ import annotations

from ml.features.client import client_features, client_population
from ml.features.declarations import (
    ActiveDays,
    Attribute,
    Calendar,
    Count,
    Difference,
    DistinctValues,
    Feature,
    Mean,
    MeanGap,
    Ratio,
    Recency,
    Sum,
    Tenure,
    Trend,
)
from ml.features.engine import compute
from ml.features.events import EventTable, Lookup
from ml.features.frame import FeatureFrame, schema_hash
from ml.features.labels import future_sum, no_event, observed_outcome
from ml.features.population import Active, Known

__all__ = [
    "Active",
    "ActiveDays",
    "Attribute",
    "Calendar",
    "Count",
    "Difference",
    "DistinctValues",
    "EventTable",
    "Feature",
    "FeatureFrame",
    "Known",
    "Lookup",
    "Mean",
    "MeanGap",
    "Ratio",
    "Recency",
    "Sum",
    "Tenure",
    "Trend",
    "client_features",
    "client_population",
    "compute",
    "future_sum",
    "no_event",
    "observed_outcome",
    "schema_hash",
]
