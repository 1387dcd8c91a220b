"""Demand: how much of each service will be asked for in the coming weeks?"""

import datetime

from pydantic import Field, model_validator

from ml.models.parts import Identifier, Observation, examples
from ml.models.spec import Decision, Gate, ModelSpec, Picture, Query


class DemandDecision(Decision):
    """One series' forecast for one target date."""

    series_id: Identifier
    target_date: datetime.date
    expected_quantity: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float


class DemandQuery(Query):
    """A series the firm knows, or a history of one it does not."""

    model_config = examples(
        {"series_id": "service:S01", "horizon": 8},
        {
            "horizon": 3,
            "history": [
                {"observed_at": f"2026-{month:02d}-01", "value": value}
                for month, value in enumerate((80, 92, 101, 97, 110, 118, 125, 121), start=1)
            ],
        },
    )

    series_id: Identifier | None = None
    horizon: int = Field(12, ge=1, le=104)
    history: list[Observation] | None = Field(None, max_length=5000)

    @model_validator(mode="after")
    def _something_given(self) -> "DemandQuery":
        if self.series_id is None and not self.history:
            raise ValueError("give series_id or history")
        return self


SPEC = ModelSpec(
    name="demand",
    title="Demand",
    question="How much of each service will be asked for in the coming weeks?",
    decides="Staffing and stock.",
    entity=("series_id", "target_date"),
    row="a series and target date",
    needs=(frozenset({"invoice_lines"}), frozenset({"work_entries"}), frozenset({"series"})),
    uses=frozenset({"invoice_lines", "work_entries", "series"}),
    horizon_days=84,
    method="ml.methods.demand:DemandMethod",
    serving="ml.serving.demand:DemandServing",
    estimator="ml.estimators.demand:DemandForecaster",
    gate=Gate(metric="mase", baseline="seasonal naive", higher_is_better=False),
    metrics={"mase": False},
    value="(seasonal naive's error - ours) x cost of a unit over or short",
    act_first=("target_date", "series_id"),
    picture=Picture("forecast", "target_date", ("expected_quantity",), "low_80", "high_80"),
    Query=DemandQuery,
    Decision=DemandDecision,
)
