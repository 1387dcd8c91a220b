"""Revenue leaks: which work was not billed, billed too low, or credited twice, for how much?"""

from typing import Any, Literal

from pydantic import Field, model_validator

from ml.models.parts import Identifier, Moment, Number, Part, Positive, Text, examples
from ml.models.spec import Decision, Gate, ModelSpec, Picture, Query


class RevenueLeakDecision(Decision):
    """One suspected leak: a line or work entry, the amount, and the evidence."""

    item_kind: Literal["line", "work_entry"]
    item_id: Identifier
    client_id: Identifier
    score: float = Field(ge=0, le=1, description="Chance that it is a leak.")
    leak_amount: float = Field(ge=0, description="Money lost if it is one.")
    expected_amount: float = Field(
        ge=0, description="score x leak_amount: worked in this order, a list brings back most."
    )
    leak_kind: str = Field(
        description="unbilled, underbilled, zero_price, double_credit or another rule's name."
    )
    evidence: dict[str, Any] | None = None


class LineInput(Part):
    """An invoice line to check."""

    line_id: Identifier = "given"
    client_id: Identifier
    service_id: Identifier
    issued_on: Moment
    quantity: Number
    unit_price: Positive
    amount: Number | None = None
    invoice_id: Text | None = None


class WorkInput(Part):
    """A work entry to check."""

    entry_id: Identifier = "given"
    client_id: Identifier
    service_id: Identifier
    worked_on: Moment
    quantity: Positive
    cost: Number | None = None
    billable: bool = True
    line_id: Text | None = None


class RateInput(Part):
    """A contracted price that holds for the item given."""

    service_id: Identifier
    client_id: Text | None = None
    valid_from: Moment
    unit_price: Positive
    valid_to: Moment | None = None


class RevenueLeakQuery(Query):
    """A line or a work entry that is not stored, with the rates and lines around it."""

    model_config = examples(
        {
            "line": {
                "client_id": "C0000001",
                "service_id": "S01",
                "issued_on": "2026-06-15",
                "quantity": 8,
                "unit_price": 0,
            }
        },
        {
            "work_entry": {
                "client_id": "C0000001",
                "service_id": "S01",
                "worked_on": "2026-03-02",
                "quantity": 6.5,
            }
        },
    )

    line: LineInput | None = None
    work_entry: WorkInput | None = None
    rates: list[RateInput] = Field(default_factory=list, max_length=1000)
    recent_lines: list[LineInput] = Field(default_factory=list, max_length=1000)

    @model_validator(mode="after")
    def _one_item(self) -> "RevenueLeakQuery":
        if (self.line is None) == (self.work_entry is None):
            raise ValueError("give exactly one of line and work_entry")
        return self


SPEC = ModelSpec(
    name="revenue_leak",
    title="Revenue leaks",
    question="Which work was not billed, billed too low, or credited twice, and for how much?",
    decides="Which lines to correct.",
    entity=("item_kind", "item_id"),
    row="a line or work entry of the last 90 days with a finding, still open",
    needs=(frozenset({"invoice_lines"}),),
    uses=frozenset({"invoice_lines", "rates", "work_entries"}),
    horizon_days=90,
    method="ml.methods.revenue_leak:RevenueLeakMethod",
    serving="ml.serving.revenue_leak:RevenueLeakServing",
    estimator="ml.estimators.revenue_leak:LeakDetector",
    gate=Gate(metric="leaked_value_found", baseline="rules alone"),
    metrics={"leaked_value_found": True, "precision_at_k": True},
    value="leak confirmed by a later correction x recovery rate - review cost",
    act_first=("-expected_amount",),
    picture=Picture("bars", "item_id", ("leak_amount",)),
    Query=RevenueLeakQuery,
    Decision=RevenueLeakDecision,
)
