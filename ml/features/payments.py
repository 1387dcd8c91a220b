"""How a client pays: overdue amounts, lateness and disputes, each as known at as_of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.features.client_events import has
from ml.features.declarations import Count, Feature, Mean, Recency, Sum
from ml.features.derived import Difference, Ratio
from ml.features.events import EventTable, Operand


def payment_features(tables: Mapping[str, Any]) -> list[Feature]:
    """Overdue is what fell due less what of it was settled: two events, each on its own day."""
    features: list[Feature] = []
    if has(tables, "invoices", "due_on", "amount"):
        day_after_due = pc.max_element_wise(
            pc.field("due_on") + pc.scalar(pa.scalar(1, pa.int32())), pc.field("issued_on")
        )
        due = EventTable("fell_due", "invoices", _known_due(day_after_due), {"amount": "amount"})
        features.append(Sum("fell_due_ever", due, "amount"))
        if "paid_on" in tables["invoices"].schema.names:
            settled_on = pc.max_element_wise(
                pc.field("paid_on"), _known_due(day_after_due), skip_nulls=False
            )
            settled = EventTable("settled", "invoices", settled_on, {"amount": "amount"})
            features[-1:] = [
                Difference("overdue_amount", Sum("", due, "amount"), Sum("", settled, "amount")),
                Difference("overdue_invoices", Count("", due), Count("", settled)),
                Ratio(
                    "overdue_share_of_billed_365d",
                    Difference("", Sum("", due, "amount"), Sum("", settled, "amount")),
                    Sum("", _issued(tables), "amount", 365),
                ),
            ]
    if "paid_on" in tables["invoices"].schema.names:
        late: pc.Expression = pc.field("paid_on") - pc.field("due_on")
        zero = pc.scalar(pa.scalar(0, pa.int32()))
        values: dict[str, Operand] = {"days_to_pay": pc.field("paid_on") - pc.field("issued_on")}
        if has(tables, "invoices", "due_on"):
            values |= {
                "days_late": pc.max_element_wise(late, zero, skip_nulls=False),
                "is_late": late > zero,
            }
        paid = EventTable("payments", "invoices", "paid_on", values)
        features += [
            Recency("days_since_payment", paid),
            Mean("mean_days_to_pay_365d", paid, "days_to_pay", 365),
        ]
        if "days_late" in values:
            features += [
                Mean("mean_days_late_90d", paid, "days_late", 90),
                Mean("mean_days_late_365d", paid, "days_late", 365),
                Ratio(
                    "late_share_365d",
                    Count("", paid, 365, where="is_late"),
                    Count("", paid, 365, column="days_late"),
                ),
            ]
    if "disputed" in tables["invoices"].schema.names:
        features += [
            Count(f"disputes_{days}d", _issued(tables), days, where="disputed")
            for days in (90, 365)
        ]
    return features


def _known_due(day_after_due: pc.Expression) -> pc.Expression:
    """Null where the invoice has no due day: it cannot be overdue."""
    nothing = pc.scalar(pa.scalar(None, pa.int32()))
    return pc.if_else(pc.field("due_on").is_valid(), day_after_due, nothing)


def _issued(tables: Mapping[str, Any]) -> EventTable:
    held = tables["invoices"].schema.names
    return EventTable(
        "invoices", "invoices", "issued_on", {c: c for c in ("amount", "disputed") if c in held}
    )
