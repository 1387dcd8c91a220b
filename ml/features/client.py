"""The client's features: recency, frequency, money, margin, payment, work and quotes.

The list adapts to the tables and columns that are there, by presence, never by inventing a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.features.client_events import has, line_events, margin_basis, work_events
from ml.features.declarations import (
    ActiveDays,
    Count,
    DistinctValues,
    Feature,
    Mean,
    Recency,
    Sum,
    Tenure,
)
from ml.features.derived import Attribute, Calendar, MeanGap, Ratio, Trend
from ml.features.events import EventTable
from ml.features.payments import payment_features
from ml.features.population import Active, Known, Population

WINDOWS = (7, 30, 60, 90, 180, 365)
_PLAIN_CLIENT_COLUMNS = {"client_id", "name", "started_on", "ended_on"}
_KNOWLEDGE = {"known_at", "valid_from", "valid_to"}
_MOST_CATEGORIES = 100


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
        features += payment_features(tables)
    if "work_entries" in tables:
        features += _work(tables)
    if has(tables, "quotes", "client_id"):
        features += _quotes(tables)
    features.append(Calendar("month", "month"))
    if "clients" in tables:
        features += _attributes(tables, {"as_of"} | {feature.name for feature in features})
    return features


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


def _attributes(tables: Mapping[str, Any], taken: set[str]) -> list[Feature]:
    """The clients' own columns; one whose name is a feature's gets ``clients_`` before it."""
    clients = tables["clients"]
    features: list[Feature] = []
    if "started_on" in clients.schema.names:
        features.append(Attribute("days_as_client", "clients", "started_on"))
    if "ended_on" in clients.schema.names:
        features.append(Attribute("days_since_ended", "clients", "ended_on"))
    left_out = _PLAIN_CLIENT_COLUMNS | _KNOWLEDGE
    for column in clients.schema.names:
        if column not in left_out and not _is_identifier(clients, column):
            name = f"clients_{column}" if column in taken else column
            features.append(Attribute(name, "clients", column))
    return features


def _is_identifier(clients: Any, column: str) -> bool:
    """Text with very many different values names a client rather than describes it."""
    kind = clients.schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    held = clients if isinstance(clients, pa.Table) else clients.to_table(columns=[column])
    return bool(pc.count_distinct(held[column]).as_py() > _MOST_CATEGORIES)
