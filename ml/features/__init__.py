"""Point-in-time features: declare what to know about an entity, compute it as of any days.

Nothing known after a date can reach that date's figures. See ``engine.compute``.
"""

from __future__ import annotations

from ml.features.client import client_features, client_population
from ml.features.client_events import MarginBasis, line_events, margin_basis, work_events
from ml.features.declarations import (
    ActiveDays,
    Count,
    DistinctValues,
    Feature,
    Mean,
    Recency,
    Sum,
    Tenure,
)
from ml.features.derived import Attribute, Calendar, Difference, MeanGap, Ratio, Trend
from ml.features.engine import compute
from ml.features.events import EventTable, Lookup
from ml.features.frame import FeatureFrame, schema_hash
from ml.features.labels import Term, future_sum, no_event, observed_outcome
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
    "MarginBasis",
    "Mean",
    "MeanGap",
    "Ratio",
    "Recency",
    "Sum",
    "Tenure",
    "Term",
    "Trend",
    "client_features",
    "client_population",
    "compute",
    "future_sum",
    "line_events",
    "margin_basis",
    "no_event",
    "observed_outcome",
    "schema_hash",
    "work_events",
]
