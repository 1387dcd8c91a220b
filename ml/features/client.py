"""The client's features: recency, frequency, money, margin, payment, work and quotes.

The list adapts to the tables and columns that are there, by presence, never by inventing a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ml.features.declarations import (
    ActiveDays,
    Attribute,
    Calendar,
    Count,
    Difference,
    DistinctValues,
    Feature,
    Mean,
    MeanGap,
    Ratio,
    Recency,
    Sum,
    Tenure,
    Trend,
)
from ml.features.events import EventTable, Lookup
from ml.features.labels import Term
from ml.features.population import Active, Known, Population

WINDOWS = (7, 30, 60, 90, 180, 365)
_PLAIN_CLIENT_COLUMNS = {"client_id", "name", "started_on", "ended_on"}
_KNOWLEDGE = {"known_at", "valid_from", "valid_to"}
_MOST_CATEGORIES = 100


@dataclass(frozen=True)
class MarginBasis:
    """What a client's margin is the sum of on this source; ``revenue`` where there is no cost."""

    basis: Literal["margin", "revenue"]
    terms: tuple[Term, ...]

    def over(self, name: str, days: int | None, ending_days_ago: int = 0) -> Feature:
        """The margin over a window as one feature."""
        parts = [
            Sum(name, term.table, term.column, days, ending_days_ago=ending_days_ago)
            for term in self.terms
        ]
        return parts[0] if len(parts) == 1 else Difference(name, parts[0], parts[1])


def has(tables: Mapping[str, Any], table: str, *columns: str) -> bool:
    """Whether a table is there with these columns, none of them entirely empty."""
    if table not in tables:
        return False
    held = tables[table]
    for column in columns:
        if column not in held.schema.names or pa.types.is_null(held.schema.field(column).type):
            return False
        if isinstance(held, pa.Table) and held[column].null_count == held.num_rows > 0:
            return False
    return True


def line_events(tables: Mapping[str, Any]) -> EventTable:
    """Invoice lines on their day: amount (default quantity x unit price), margin, list value."""
    billed: pc.Expression = pc.field("quantity") * pc.field("unit_price")
    amount = pc.coalesce(pc.field("amount"), billed) if _held(tables, "amount") else billed
    values: dict[str, str | pc.Expression] = {
        "amount": amount,
        "quantity": "quantity",
        "service_id": "service_id",
        "is_credit": amount < pc.scalar(0.0),
        "is_sale": amount > pc.scalar(0.0),
    }
    lookup = None
    columns = tuple(
        c
        for c in ("list_price", "unit_cost")
        if has(tables, "services", c) and not _held(tables, c)
    )
    if columns:
        lookup = Lookup("services", "service_id", columns)
    cost = pc.field("cost") if _held(tables, "cost") else None
    if "unit_cost" in columns:
        standard = pc.field("quantity") * pc.field("unit_cost")
        cost = standard if cost is None else pc.coalesce(cost, standard)
    if cost is not None:
        values["margin"] = amount - pc.coalesce(cost, pc.scalar(0.0))
    if "list_price" in columns:
        listed = pc.field("quantity") * pc.field("list_price")
        values["list_value"] = pc.if_else(amount > pc.scalar(0.0), listed, pc.scalar(0.0))
        values["listed_amount"] = pc.if_else(
            (amount > pc.scalar(0.0)) & pc.field("list_price").is_valid(), amount, pc.scalar(0.0)
        )
    return EventTable("lines", "invoice_lines", "issued_on", values, lookup)


def _held(tables: Mapping[str, Any], column: str) -> bool:
    return has(tables, "invoice_lines", column)


def margin_basis(tables: Mapping[str, Any]) -> MarginBasis:
    """Line cost where lines carry one, else the cost of work, else services' unit cost, else revenue."""
    lines = line_events(tables)
    if _held(tables, "cost"):
        return MarginBasis("margin", (Term(lines, "margin"),))
    if has(tables, "work_entries", "cost"):
        return MarginBasis("margin", (Term(lines, "amount"), Term(work_events(tables), "cost", -1)))
    if "margin" in lines.values:
        return MarginBasis("margin", (Term(lines, "margin"),))
    return MarginBasis("revenue", (Term(lines, "amount"),))


def work_events(tables: Mapping[str, Any]) -> EventTable:
    """Work entries on the day worked."""
    values: dict[str, str | pc.Expression] = {"quantity": "quantity"}
    if has(tables, "work_entries", "cost"):
        values["cost"] = "cost"
    if has(tables, "work_entries", "billable"):
        values["is_unbillable"] = pc.invert(pc.field("billable"))
    return EventTable("work", "work_entries", "worked_on", values)


def client_population(tables: Mapping[str, Any], within_days: int = 365) -> Population:
    """Clients who bought in the last year; without invoice lines, clients known at the date."""
    if "invoice_lines" in tables:
        return Active(line_events(tables), within_days)
    return Known("clients")


def client_features(tables: Mapping[str, Any]) -> list[Feature]:
    """All features that these tables can give; ``tables`` are Arrow tables or datasets by name."""
    features: list[Feature] = []
    if "invoice_lines" in tables:
        features += _purchases(line_events(tables)) + _margin(tables)
    if "invoices" in tables:
        features += _payments(tables)
    if "work_entries" in tables:
        features += _work(tables)
    if has(tables, "quotes", "client_id"):
        features += _quotes(tables)
    if "clients" in tables:
        features += _attributes(tables)
    return [*features, Calendar("month", "month")]


def _purchases(lines: EventTable) -> list[Feature]:
    recency, gap = Recency("days_since_purchase", lines), MeanGap("mean_gap_days", lines)
    features: list[Feature] = [recency, gap, Tenure("days_since_first_purchase", lines)]
    features.append(Ratio("recency_in_gaps", recency, gap))
    for days in WINDOWS:
        features.append(Sum(f"revenue_{days}d", lines, "amount", days))
        features.append(Count(f"lines_{days}d", lines, days))
    features += [
        Sum("revenue_ever", lines, "amount"),
        *(ActiveDays(f"purchase_days_{days}d", lines, days) for days in (30, 90, 365)),
        ActiveDays("purchase_days_ever", lines),
        *(DistinctValues(f"services_{days}d", lines, "service_id", days) for days in (90, 365)),
        Mean("mean_line_365d", lines, "amount", 365),
        Ratio(
            "revenue_per_purchase_day_365d",
            Sum("", lines, "amount", 365),
            ActiveDays("", lines, 365),
        ),
        Trend("revenue_change_30d", lines, "amount", 30, 2),
        Trend("revenue_change_90d", lines, "amount", 90, 2),
        Trend("revenue_slope_6x30d", lines, "amount", 30, 6),
        Trend("lines_change_90d", lines, None, 90, 2),
        Ratio(
            "revenue_share_90d_of_365d", Sum("", lines, "amount", 90), Sum("", lines, "amount", 365)
        ),
        Sum("revenue_same_quarter_last_year", lines, "amount", 90, ending_days_ago=275),
        Sum("credits_365d", lines, "amount", 365, where="is_credit"),
        Count("credit_lines_90d", lines, 90, where="is_credit"),
        Recency("days_since_credit", lines, where="is_credit"),
        Ratio(
            "mean_price_change_90d",
            Ratio("", Sum("", lines, "amount", 90), Sum("", lines, "quantity", 90)),
            Ratio(
                "",
                Sum("", lines, "amount", 90, ending_days_ago=90),
                Sum("", lines, "quantity", 90, ending_days_ago=90),
            ),
        ),
    ]
    if "list_value" in lines.values:
        features += [
            Ratio(
                f"price_to_list_{days}d",
                Sum("", lines, "listed_amount", days),
                Sum("", lines, "list_value", days),
            )
            for days in (90, 365)
        ]
    return features


def _margin(tables: Mapping[str, Any]) -> list[Feature]:
    margin = margin_basis(tables)
    if margin.basis == "revenue":
        return []
    year, revenue = margin.over("margin_365d", 365), Sum("", line_events(tables), "amount", 365)
    return [
        *(margin.over(f"margin_{days}d", days) for days in (30, 90, 180)),
        year,
        margin.over("margin_90d_before", 90, 90),
        margin.over("margin_same_quarter_last_year", 90, 275),
        Ratio("margin_rate_365d", year, revenue),
    ]


def _payments(tables: Mapping[str, Any]) -> list[Feature]:
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
        values: dict[str, str | pc.Expression] = {
            "days_to_pay": pc.field("paid_on") - pc.field("issued_on")
        }
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


def _work(tables: Mapping[str, Any]) -> list[Feature]:
    work = work_events(tables)
    features: list[Feature] = [
        *(Sum(f"work_{days}d", work, "quantity", days) for days in (30, 90, 365)),
        Trend("work_change_90d", work, "quantity", 90, 2),
        Recency("days_since_work", work),
    ]
    if "is_unbillable" in work.values:
        features.append(
            Ratio(
                "unbillable_share_365d",
                Sum("", work, "quantity", 365, where="is_unbillable"),
                Sum("", work, "quantity", 365),
            )
        )
    return features


def _quotes(tables: Mapping[str, Any]) -> list[Feature]:
    held = tables["quotes"].schema.names
    quotes = EventTable("quotes", "quotes", "quoted_on")
    features: list[Feature] = [
        Count("quotes_90d", quotes, 90),
        Count("quotes_365d", quotes, 365),
        Recency("days_since_quote", quotes),
    ]
    if {"won", "decided_on"} <= set(held):
        decided = EventTable("decided_quotes", "quotes", "decided_on", {"won": "won"})
        features.append(Mean("quotes_won_share_365d", decided, "won", 365))
    return features


def _attributes(tables: Mapping[str, Any]) -> list[Feature]:
    clients = tables["clients"]
    features: list[Feature] = []
    if "started_on" in clients.schema.names:
        features.append(Attribute("days_as_client", "clients", "started_on"))
    if "ended_on" in clients.schema.names:
        features.append(Attribute("days_since_ended", "clients", "ended_on"))
    left_out = _PLAIN_CLIENT_COLUMNS | _KNOWLEDGE
    for column in clients.schema.names:
        if column not in left_out and not _is_identifier(clients, column):
            features.append(Attribute(column, "clients", column))
    return features


def _is_identifier(clients: Any, column: str) -> bool:
    """Text with very many different values names a client rather than describes it."""
    kind = clients.schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    held = clients if isinstance(clients, pa.Table) else clients.to_table(columns=[column])
    return bool(pc.count_distinct(held[column]).as_py() > _MOST_CATEGORIES)
