"""Pricing: how does demand (or the chance to win) react to price, and which price earns most?"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ml.models.parts import Identifier, Reason, examples
from ml.models.spec import Decision, Gate, ModelSpec, Picture, Query

Price = Annotated[float, Field(gt=0, le=1e9)]


class PricingDecision(Decision):
    """The next price of a service in a segment, or why none is recommended."""

    service_id: Identifier
    segment: Identifier
    current_price: float = Field(ge=0)
    recommended_price: float | None = Field(description="Empty where evidence is thin.")
    elasticity: float | None
    elasticity_low: float | None = Field(description="Lower end of the 80 % interval.")
    elasticity_high: float | None
    expected_margin_change: float | None = Field(
        description="Money a year at the last year's volume; revenue where there is no cost."
    )
    status: Literal["recommended", "thin_evidence"]
    reasons: list[Reason] | None = None


class PricingQuery(Query):
    """A service and segment, with prices to evaluate and guardrails."""

    model_config = examples(
        {"service_id": "S02", "segment": "mid"},
        {"service_id": "S02", "segment": "mid", "prices": [90, 100, 110], "max_change": 0.2},
    )

    service_id: Identifier
    segment: Identifier = "all"
    prices: list[Price] = Field(default_factory=list, max_length=200)
    unit_cost: float | None = Field(None, ge=0, le=1e9)
    min_price: Price | None = None
    max_price: Price | None = None
    max_change: float | None = Field(
        None, gt=0, le=1, description="Largest change from the current price, as a share."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "PricingQuery":
        if self.min_price and self.max_price and self.min_price > self.max_price:
            raise ValueError("min_price is above max_price")
        return self


SPEC = ModelSpec(
    name="pricing",
    title="Pricing",
    question="How does demand, or the chance to win, react to price, and which price earns most?",
    decides="The next price, within guardrails.",
    entity=("service_id", "segment"),
    row="a service in a segment",
    needs=(frozenset({"invoice_lines"}), frozenset({"quotes"})),
    uses=frozenset({"invoice_lines", "quotes", "clients", "services", "rates"}),
    horizon_days=90,
    format=2,
    method="ml.methods.pricing:PricingMethod",
    serving="ml.serving.pricing:PricingServing",
    estimator="ml.estimators.pricing:PriceResponse",
    gate=Gate(metric="squared_error", baseline="a model without price", higher_is_better=False),
    metrics={"squared_error": False},
    value="change in margin of the recommended prices, off-policy, with interval",
    act_first=("-expected_margin_change",),
    picture=Picture(
        "bars", "service_id", ("expected_margin_change",), where={"status": "recommended"}
    ),
    Query=PricingQuery,
    Decision=PricingDecision,
)
