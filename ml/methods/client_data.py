"""What client models read from a snapshot: features at dates, and what came after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ml.features import (
    EventTable,
    client_features,
    client_population,
    compute,
    future_sum,
    no_event,
    observed_outcome,
)
from ml.features.client import line_events, margin_basis

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

RECENCY = "days_since_purchase"
ENDED = "days_since_ended"
CLIENT_TABLES = ("invoice_lines", "invoices", "clients", "work_entries", "quotes", "services")


def client_tables(data: Snapshot) -> dict[str, pa.Table]:
    """Row versions of every table that client features read and the snapshot holds."""
    return {name: data.read(name) for name in CLIENT_TABLES if name in data.tables}


def sample_share(data: Snapshot, days: Sequence[date], most_rows: int) -> float:
    """Which share of the clients gives about ``most_rows`` rows over these days, at most 1.

    Counted are clients with a purchase, known by the last day, in the year before it; without
    invoice lines all clients that the source names.
    """
    table = "invoice_lines" if "invoice_lines" in data.tables else "clients"
    if table == "clients":
        clients = data.read(table, ["client_id"])
    else:
        last = max(days)
        lines = data.read(table, ["client_id", "issued_on", "known_at"])
        bought = (pc.field("issued_on") > last - timedelta(days=365)) & (
            pc.field("issued_on") <= last
        )
        clients = lines.filter(bought & (pc.field("known_at") <= last))
    count = max(1, len(pc.unique(clients["client_id"])))
    return min(1.0, most_rows / (count * len(days)))


def client_frame(data: Snapshot, days: Sequence[date], share: float = 1.0) -> pd.DataFrame:
    """Columns client_id, as_of (dates) and the features of clients active in the year before.

    A client who is known to have ended is not active: there is nobody to call or to reprice.
    A ``share`` below 1 leaves that share of the clients, chosen by a hash of their ids: the same
    ones on every day and in every run. Which columns there are does not depend on it.
    """
    tables = client_tables(data)
    features, population = client_features(tables), client_population(tables)
    if share < 1.0:
        tables = _of_clients(tables, _sample(tables, share))
    frame = compute(features, tables, as_ofs=days, population=population).frame
    if ENDED in frame:
        frame = frame[~(frame[ENDED] >= 0)].drop(columns=[ENDED]).reset_index(drop=True)
    return frame.assign(as_of=frame["as_of"].dt.date)


def first_event(data: Snapshot) -> date:
    """The first day on which anything happened to a client."""
    tables = [
        ("invoice_lines", "issued_on"),
        ("client_outcomes", "observed_on"),
    ]
    firsts = [
        pc.min(data.read(table, [day])[day]).as_py()
        for table, day in tables
        if table in data.tables
    ]
    return min(day for day in firsts if day is not None)


def basis_of(data: Snapshot) -> str:
    """``margin`` where the source has a cost, else ``revenue``."""
    return margin_basis(client_tables(data)).basis


def last_period(frame: pd.DataFrame) -> pd.Series:
    """Margin of the last 90 days, revenue where the source has no cost."""
    return frame["margin_90d" if "margin_90d" in frame else "revenue_90d"].fillna(0.0)


def margin_after(data: Snapshot, frame: pd.DataFrame, horizon_days: int, known: date) -> pd.Series:
    """Margin over the horizon after each row's as_of; NaN where not observed by ``known``."""
    tables = client_tables(data)
    terms = margin_basis(tables).terms
    return future_sum(
        _index(frame),
        _of_clients(tables, pa.array(frame["client_id"].unique())),
        terms,
        horizon_days=horizon_days,
        observed_through=known,
    )


def silent_after(data: Snapshot, frame: pd.DataFrame, horizon_days: int, known: date) -> pd.Series:
    """1.0 where no purchase follows within the horizon; NaN where not observed by ``known``."""
    tables = client_tables(data)
    return no_event(
        _index(frame),
        _of_clients(tables, pa.array(frame["client_id"].unique())),
        line_events(tables),
        horizon_days=horizon_days,
        observed_through=known,
        where="is_sale",
    )


def outcome_after(
    data: Snapshot, frame: pd.DataFrame, outcome: str, horizon_days: int, known: date
) -> pd.Series | None:
    """The firm's own outcome over the horizon; None where it records none of that name."""
    if "client_outcomes" not in data.tables:
        return None
    table = data.read("client_outcomes")
    own = table.filter(pc.field("outcome") == outcome)
    if not own.num_rows:
        return None
    events = EventTable("outcomes", "client_outcomes", "observed_on", {"value": "value"})
    return observed_outcome(
        _index(frame),
        {"client_outcomes": own},
        events,
        "value",
        horizon_days=horizon_days,
        observed_through=known,
    )


def _sample(tables: Mapping[str, pa.Table], share: float) -> pa.Array:
    """The ids of this share of the clients."""
    columns = [table["client_id"] for table in tables.values() if "client_id" in table.column_names]
    chunks = [chunk.cast(pa.string()) for column in columns for chunk in column.chunks]
    ids = pc.unique(pa.chunked_array(chunks, pa.string())).drop_null()
    places = pd.util.hash_array(ids.to_numpy(zero_copy_only=False).astype(object))
    return ids.filter(pa.array(places < np.uint64(share * 2.0**64)))


def _of_clients(tables: Mapping[str, pa.Table], clients: pa.Array) -> dict[str, pa.Table]:
    """The rows of these clients, and tables that name no client as they are."""
    return {
        name: table.filter(pc.is_in(table["client_id"], clients.cast(table["client_id"].type)))
        if "client_id" in table.column_names
        else table
        for name, table in tables.items()
    }


def _index(frame: pd.DataFrame) -> pd.DataFrame:
    days: Any = pd.to_datetime(frame["as_of"])
    return pd.DataFrame({"client_id": frame["client_id"], "as_of": days}, index=frame.index)
