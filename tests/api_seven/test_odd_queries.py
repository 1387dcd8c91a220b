"""Queries odd as a whole, each field well-formed: answered, or refused in words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api_seven.test_garbage import SPECS, checked


def dated(*days: str, value: float = 1.0) -> list[dict[str, Any]]:
    return [{"observed_at": day, "value": value} for day in days]


LINE = {
    "client_id": "C0000001",
    "service_id": "S01",
    "issued_on": "2026-06-15",
    "quantity": 8,
    "unit_price": 0,
}
RATE = {"service_id": "S01", "valid_from": "2026-01-01", "unit_price": 5}
MONTHS = [f"2026-{month:02d}-01" for month in range(1, 9)]
DAYS = [f"2026-01-{day:02d}" for day in range(1, 29)]
ODD = [
    ("churn", {"features": {"segment": "never seen"}}),
    ("churn", {"features": {"segment": None}}),
    ("churn", {"features": {f"name {n}": 1 for n in range(501)}}),
    ("profitability", {"client_id": "C0000001", "features": {}}),
    ("demand", {"history": []}),
    ("demand", {"series_id": "service:S01", "history": []}),
    ("demand", {"history": dated("2026-01-01")}),
    ("demand", {"history": dated(*["2026-01-01"] * 20)}),
    ("demand", {"history": dated(*reversed(MONTHS))}),
    ("demand", {"history": dated("1900-01-01", "2200-12-31")}),
    ("demand", {"history": dated("2026-01-01", "2026-01-02T12:00", "2026-01-03 09:00:00")}),
    ("demand", {"history": dated(*MONTHS, value=1e12), "horizon": 104}),
    ("demand", {"history": dated(*MONTHS, value=-1e12)}),
    ("demand", {"history": dated(*MONTHS, value=0)}),
    ("demand", {"history": dated(*MONTHS, value=5e-324)}),
    ("demand", {"history": dated(*["2026-01-01"] * 5001)}),
    ("demand", {"series_id": "service:S01", "horizon": 10**9}),
    ("demand", {"series_id": "x" * 200}),
    ("anomaly", {"observations": []}),
    ("anomaly", {"observations": dated(*["2026-01-01"] * 20)}),
    ("anomaly", {"observations": dated(*reversed(DAYS))}),
    ("anomaly", {"observations": dated("1900-01-01", "2200-12-31")}),
    ("anomaly", {"observations": dated(*DAYS, value=1e12)}),
    ("anomaly", {"series_id": "documents_processed", "observations": dated("1900-01-01")}),
    ("anomaly", {"series_id": "nobody", "observations": dated("2026-01-01")}),
    ("anomaly", {"features": {}}),
    ("anomaly", {"features": {"price_own": 1e12, "quantity_own": -1e12}}),
    ("anomaly", {"features": {"price_own": "x", "quantity_own": 1}}),
    ("budget", {"total": 0.001}),
    ("budget", {"total": 1e12, "periods": 520}),
    ("budget", {"total": 5e-324}),
    ("budget", {"total": 100, "bounds": {"search": {"low": 5, "high": 1}}}),
    ("budget", {"total": 100, "bounds": {"search": {"low": 1e12}}}),
    ("budget", {"total": 100, "bounds": {"": {}}}),
    ("budget", {"total": 100, "bounds": {f"channel {n}": {} for n in range(201)}}),
    ("pricing", {"service_id": "S02", "segment": "mid", "prices": [1e9, 5e-324]}),
    ("pricing", {"service_id": "S02", "segment": "mid", "prices": [1] * 201}),
    ("pricing", {"service_id": "S02", "segment": "mid", "min_price": 9, "max_price": 1}),
    ("pricing", {"service_id": "S02", "segment": "mid", "min_price": 1e9, "max_change": 1e-300}),
    ("pricing", {"service_id": "S02", "segment": "mid", "unit_cost": 1e9}),
    ("pricing", {"service_id": "S\x1f02", "segment": "\x1f"}),
    ("revenue-leak", {"line": LINE, "work_entry": None, "rates": [RATE] * 1000}),
    ("revenue-leak", {"line": LINE, "rates": [RATE | {"valid_to": "2025-01-01"}]}),
    ("revenue-leak", {"line": LINE, "rates": [RATE | {"valid_from": "1900-01-01T10:00"}, RATE]}),
    ("revenue-leak", {"line": LINE, "rates": [RATE | {"valid_from": "2026-W01-1"}]}),
    ("revenue-leak", {"line": LINE, "recent_lines": [LINE] * 3}),
    ("revenue-leak", {"line": LINE | {"quantity": -1e12, "unit_price": 1e12}}),
    ("revenue-leak", {"line": LINE | {"issued_on": "2200-12-31T23:59:59.999999"}}),
    ("revenue-leak", {"line": LINE, "work_entry": LINE}),
    ("revenue-leak", {"line": LINE | {"client_id": "nobody", "service_id": "\0"}}),
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_a_query_that_is_odd_as_a_whole(
    client: httpx.Client, document: dict[str, Any], number: int
) -> None:
    route, query = ODD[number]
    [spec] = [spec for spec in SPECS if spec.route == route]
    for path in (f"/api/{route}", f"/api/{route}?reasons=false"):
        checked(spec, document, client.post(path, json=query))


def test_a_category_never_seen_is_said(client: httpx.Client) -> None:
    answer = client.post("/api/churn", json={"features": {"segment": "never seen"}})
    assert any("segment" in name for name in answer.json()["inputs"]["unseen"])
