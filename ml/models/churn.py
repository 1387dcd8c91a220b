"""Churn: which clients stop buying in the next 90 days, why, and what margin is at risk?"""

from typing import Literal

from pydantic import Field

from ml.models.parts import ClientQuery, Identifier, Reason
from ml.models.spec import Decision, Gate, ModelSpec, Picture


class ChurnDecision(Decision):
    """One client's chance of leaving."""

    client_id: Identifier
    churn_probability: float = Field(ge=0, le=1, description="Chance of no purchase in 90 days.")
    risk_band: Literal["low", "medium", "high"] = Field(
        description="high: at least twice the base rate and .2; medium: at least the base rate."
    )
    margin_at_risk: float = Field(
        description="Probability x the client's margin (revenue without cost) of a usual 90 days."
    )
    reasons: list[Reason] | None = None


SPEC = ModelSpec(
    name="churn",
    title="Churn",
    question="Which clients stop buying in the next 90 days, why, and what margin is at risk?",
    decides="Whom to call first.",
    entity=("client_id",),
    row="a client active in the last year",
    needs=(frozenset({"invoice_lines"}), frozenset({"client_outcomes", "clients"})),
    uses=frozenset(
        {"invoice_lines", "invoices", "clients", "work_entries", "quotes", "services"}
        | {"client_outcomes"}
    ),
    horizon_days=90,
    method="ml.methods.churn:ChurnMethod",
    serving="ml.serving.churn:ChurnServing",
    estimator="ml.estimators.churn:ChurnClassifier",
    gate=Gate(
        metric="auc", baseline="recency alone", limits={"ece": 0.05}, also_better={"brier": False}
    ),
    metrics={"auc": True, "brier": False, "ece": False},
    value="margin really lost among the clients called x save rate - cost of the calls,"
    " against calling by recency",
    act_first=("-margin_at_risk",),
    picture=Picture("bars", "client_id", ("margin_at_risk",)),
    Query=ClientQuery,
    Decision=ChurnDecision,
)
