"""Settings of the models: reasons, alert budget, and the assumptions behind the money."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class MlSettings(BaseSettings):
    """Read from ``SEVENFOLD_…``; every assumption is printed beside the figure it makes."""

    model_config = SettingsConfigDict(env_prefix="SEVENFOLD_", extra="ignore")

    reasons: str = Field(
        "top:1000",
        description="Which decisions carry reasons: `all`, `none`, or `top:N` by value at stake.",
    )
    alert_budget: int = Field(5, ge=1, description="Anomaly alerts a day, over all subjects.")
    training_months: int = Field(
        24, ge=2, description="Monthly snapshots that client models learn from, the newest ones."
    )
    max_training_rows: int = Field(
        200_000,
        ge=1_000,
        description="Client months a training reads; beyond it, a fixed sample of the clients.",
    )
    calls_per_month: int = Field(
        50, ge=1, description="Clients called each month because of their churn risk (K)."
    )
    save_rate: float = Field(
        0.2, ge=0, le=1, description="Share of called clients that stay who would have left."
    )
    call_cost: float = Field(40.0, ge=0, description="Cost of one retention call.")
    repriced_share: float = Field(
        0.1, gt=0, le=1, description="Share of clients, ranked lowest by margin, to reprice."
    )
    reprice_acceptance: float = Field(
        0.5, ge=0, le=1, description="Share of repriced clients that accept the new price."
    )
    recovery_rate: float = Field(
        0.7, ge=0, le=1, description="Share of a confirmed leak that is really recovered."
    )
    review_cost: float = Field(8.0, ge=0, description="Cost of reviewing one suspected leak.")
    leak_reviews: int = Field(
        20, ge=1, description="Suspected leaks a month that somebody reviews: one a working day."
    )
    max_price_change: float = Field(
        0.1, gt=0, le=1, description="Largest recommended price change, as a share."
    )
    margin_rate: float = Field(
        0.4, gt=0, le=1, description="Margin per unit of outcome that marketing brings."
    )
    budget_outcome: str | None = Field(
        None,
        description="Series that the budget model explains; default: the first that is there of"
        " `new_business_revenue`, `revenue` and `sales`, else revenue from invoice lines.",
    )
    max_budget_shift: float = Field(
        0.5, gt=0, description="Largest recommended change of a channel's budget, as a share."
    )
    unit_error_cost: float = Field(
        10.0, ge=0, description="Cost of one unit of demand over- or understaffed."
    )
    demand_weeks: int = Field(12, ge=1, description="Weeks ahead that demand is forecast.")
    drift_min_rows: int = Field(
        100, ge=10, description="Rows below which a drift verdict is `insufficient_data`."
    )
    drift_false_alarm: float = Field(
        0.01,
        gt=0,
        lt=0.5,
        description="Chance that any column of an undrifted day is called drifted.",
    )
    retrain_cooldown_days: int = Field(
        7, ge=0, description="Days after a training before a sensor may start another."
    )
    retrain_min_labels: int = Field(
        200, ge=0, description="Labels newly known since the last training that a retraining needs."
    )

    schedule_min_minutes: int = Field(
        5, ge=1, description="Minutes between two firings of a schedule, at the least."
    )

    @field_validator("reasons")
    @classmethod
    def _reasons_form(cls, text: str) -> str:
        parse_reasons(text)
        return text


def parse_reasons(text: str) -> int | None:
    """How many rows get reasons: None for all, 0 for none, N for ``top:N``."""
    if text == "all":
        return None
    if text == "none":
        return 0
    kind, _, number = text.partition(":")
    if kind == "top" and number.isdigit():
        return int(number)
    raise ValueError(f"reasons must be `all`, `none` or `top:N`, got {text!r}")
