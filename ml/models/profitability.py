"""Profitability: what margin will each client bring over the next 90 days?"""

from typing import Literal

from pydantic import Field

from ml.models.parts import ClientQuery, Identifier, Reason
from ml.models.spec import Decision, Gate, ModelSpec, Picture


class ProfitabilityDecision(Decision):
    """One client's expected margin with an 80 % interval."""

    client_id: Identifier
    expected_margin: float = Field(description="Money over the next 90 days.")
    margin_low: float = Field(description="Lower end of the 80 % interval.")
    margin_high: float = Field(description="Upper end of the 80 % interval.")
    basis: Literal["margin", "revenue"] = Field(description="revenue where the source has no cost.")
    reasons: list[Reason] | None = None


SPEC = ModelSpec(
    name="profitability",
    title="Profitability",
    question="What margin will each client bring over the next 90 days?",
    decides="Whom to invest in, whom to reprice.",
    entity=("client_id",),
    row="a client active in the last year",
    needs=(frozenset({"invoice_lines"}),),
    uses=frozenset({"invoice_lines", "invoices", "clients", "work_entries", "quotes", "services"}),
    horizon_days=90,
    method="ml.methods.profitability:ProfitabilityMethod",
    serving="ml.serving.profitability:ProfitabilityServing",
    estimator="ml.estimators.profitability:MarginRegressor",
    gate=Gate(
        metric="spearman",
        baseline="margin of the last 90 days",
        also_better={"mae": False},
        limits={"coverage_error": 0.05},
    ),
    metrics={"spearman": True, "mae": False, "coverage_error": False},
    value="margin recovered by repricing the clients ranked lowest, at a stated acceptance,"
    " against ranking by last period",
    act_first=("margin_low",),
    picture=Picture("bars", "client_id", ("expected_margin",), "margin_low", "margin_high"),
    Query=ClientQuery,
    Decision=ProfitabilityDecision,
)
