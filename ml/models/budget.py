"""Budget: what does each marketing channel bring, and how should a total be split?"""

from typing import Annotated

from pydantic import Field

from ml.models.parts import Identifier, Part, Positive, examples
from ml.models.spec import Decision, Gate, ModelSpec, Picture, Query


class BudgetDecision(Decision):
    """One channel's next budget, per period of the source's own spend frequency."""

    channel: Identifier
    current_amount: float = Field(ge=0)
    recommended_amount: float = Field(ge=0)
    contribution: float = Field(description="Outcome the channel brought over the last year.")
    contribution_low: float = Field(description="Lower end of the 80 % interval.")
    contribution_high: float
    marginal_return: float = Field(description="Outcome of one more unit of money.")


class Bound(Part):
    """Least and most that a channel may get over all periods."""

    low: Positive = 0
    high: Positive | None = None


class BudgetQuery(Query):
    """A total to split over the channels; the split sums to it exactly."""

    model_config = examples(
        {"total": 25000, "periods": 4},
        {"total": 25000, "periods": 4, "bounds": {"search": {"low": 4000, "high": 9000}}},
    )

    total: Annotated[float, Field(gt=0, le=1e12)]
    periods: int = Field(1, ge=1, le=520, description="Periods that the total is spent over.")
    bounds: dict[str, Bound] = Field(default_factory=dict, max_length=200)


SPEC = ModelSpec(
    name="budget",
    title="Budget",
    question="What does each marketing channel bring, and how should a total be split?",
    decides="The next budget.",
    entity=("channel",),
    row="a marketing channel",
    needs=(frozenset({"channel_spend", "invoice_lines"}), frozenset({"channel_spend", "series"})),
    uses=frozenset({"channel_spend", "series", "invoice_lines"}),
    horizon_days=90,
    method="ml.methods.budget:BudgetMethod",
    serving="ml.serving.budget:BudgetServing",
    estimator="ml.estimators.budget:MediaMix",
    gate=Gate(metric="rmse", baseline="a model without media", higher_is_better=False),
    metrics={"rmse": False},
    value="gain in outcome at equal spend x margin rate",
    act_first=("-recommended_amount",),
    picture=Picture("pairs", "channel", ("current_amount", "recommended_amount")),
    Query=BudgetQuery,
    Decision=BudgetDecision,
)
