"""Anomaly: which days, clients or lines do not look like the past?"""

import datetime
from typing import Literal

from pydantic import Field, model_validator

from ml.models.parts import Identifier, Observation, Reason, Scalar, examples
from ml.models.spec import Decision, Gate, ModelSpec, Picture, Query


class AnomalyDecision(Decision):
    """One observation beside what its own past would expect."""

    subject_kind: Literal["series", "client", "line"]
    subject_id: Identifier
    observed_at: datetime.datetime = Field(
        # Not `date-time`: that is an instant, with its zone.
        json_schema_extra={"format": "date-time-local"},
        description="Local time, as the source has it.",
    )
    value: float | None
    expected_low: float | None
    expected_high: float | None
    score: float = Field(ge=0, le=1, description="Higher is more anomalous.")
    is_alert: bool = Field(description="Among the day's alert budget.")
    reasons: list[Reason] | None = None


class AnomalyQuery(Query):
    """New observations of a known series, or features of a line or a client's day."""

    model_config = examples(
        {
            "series_id": "documents_processed",
            "observations": [{"observed_at": "2027-01-04", "value": 9000}],
        },
        {"features": {"price_own": -6.5, "quantity_own": 0.3}},
    )

    series_id: Identifier | None = None
    observations: list[Observation] | None = Field(None, max_length=5000)
    features: dict[str, Scalar] | None = Field(None, max_length=500)

    @model_validator(mode="after")
    def _one_way(self) -> "AnomalyQuery":
        if (self.observations is None) == (self.features is None):
            raise ValueError("give observations (with series_id) or features")
        return self


SPEC = ModelSpec(
    name="anomaly",
    title="Anomalies",
    question="Which days, clients or lines do not look like the past?",
    decides="What to look at today.",
    entity=("subject_kind", "subject_id", "observed_at"),
    clients_are={"subject_kind": "client"},
    row="a day of a series, a client or a line of the last 30 days",
    needs=(frozenset({"invoice_lines"}), frozenset({"series"})),
    uses=frozenset({"invoice_lines", "series", "invoices", "clients", "work_entries", "quotes"}),
    horizon_days=30,
    format=2,
    method="ml.methods.anomaly:AnomalyMethod",
    serving="ml.serving.anomaly:AnomalyServing",
    estimator="ml.estimators.anomaly:SeriesDetector",
    gate=Gate(metric="recall_at_budget", baseline="rolling Gaussian"),
    metrics={"recall_at_budget": True},
    value="amount in alerts later corrected, at the alert budget",
    act_first=("-is_alert", "-score"),
    picture=Picture("bars", "subject_id", ("score",), where={"is_alert": True}),
    Query=AnomalyQuery,
    Decision=AnomalyDecision,
)
