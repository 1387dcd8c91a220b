"""Open data sets about clients, in the shape of the input contract, with features and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.estimators.folds import stratified_folds
from ml.features import (
    client_features,
    client_population,
    compute,
    future_sum,
    line_events,
    margin_basis,
    no_event,
)

FOLDS, SEED = 5, 0


@dataclass(frozen=True)
class ClientSet:
    """Features of clients as of one day, and what came after it."""

    X: pd.DataFrame
    inactive: np.ndarray
    margin: np.ndarray


def telco(data: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """IBM's telco customers: 19 attributes of 7,043 clients, and whether each left."""
    frame = pd.read_csv(require(data, "telco_churn/telco_churn.csv"))
    # 11 new customers have a blank where nothing was charged yet.
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"].str.strip(), errors="coerce")
    left = (frame["Churn"] == "Yes").to_numpy().astype(np.int64)
    return frame.drop(columns=["customerID", "Churn"]), left


def online_retail(data: Path, as_of: date, horizon_days: int) -> ClientSet:
    """Clients of the year 2009-12 to 2010-12 with a known id; credits count as lines."""
    path = require(data, "online_retail_2009_2010/online_retail_2009_2010.parquet")
    raw = pd.read_parquet(path).dropna(subset=["customer_id"])
    lines = pd.DataFrame(
        {
            "client_id": raw["customer_id"].astype(np.int64).astype(str),
            "service_id": raw["stock_code"],
            "issued_on": raw["invoice_date"].dt.date,
            "quantity": raw["quantity"].astype(np.float64),
            "unit_price": raw["price"],
            "amount": raw["quantity"] * raw["price"],
        }
    )
    return _client_set({"invoice_lines": _known(lines, "issued_on")}, as_of, horizon_days)


def ta_feng(data: Path, as_of: date, horizon_days: int) -> ClientSet:
    """Clients of a grocer; ``sales_price`` and ``cost`` are totals of the line."""
    raw = pd.read_parquet(require(data, "ta_feng/ta_feng.parquet"))
    client = raw["customer_id"].astype(str)
    lines = pd.DataFrame(
        {
            "client_id": client,
            "service_id": raw["product_id"].astype(str),
            "issued_on": raw["date"].dt.date,
            "quantity": raw["quantity"].astype(np.float64),
            "unit_price": raw["sales_price"] / raw["quantity"],
            "amount": raw["sales_price"].astype(np.float64),
            "cost": raw["cost"].astype(np.float64),
        }
    )
    first = raw.assign(client_id=client).drop_duplicates("client_id")
    clients = first[["client_id", "age_group", "pin_code"]].assign(since=date(1970, 1, 1))
    tables = {"invoice_lines": _known(lines, "issued_on"), "clients": _known(clients, "since")}
    return _client_set(tables, as_of, horizon_days)


def held_out(
    X: pd.DataFrame,
    y: np.ndarray,
    predict: Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray],
) -> np.ndarray:
    """Each row's prediction by a model fitted on the other four of five stratified folds."""
    folds = stratified_folds(y.astype(np.float64), np.arange(len(y)), FOLDS, SEED)
    parts = []
    for number in range(FOLDS):
        out = folds == number
        parts.append((np.flatnonzero(out), predict(X[~out], y[~out], X[out])))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    return np.concatenate([part for _, part in parts])[order]


def require(data: Path, name: str) -> Path:
    """The file of a data set; FileNotFoundError names it where it is absent."""
    path = data / name
    if not path.is_file():
        raise FileNotFoundError(f"open data set {name} is absent from {data}")
    return path


def _known(frame: pd.DataFrame, day: str) -> pa.Table:
    """As a snapshot read: every row known on its day, its version valid for ever."""
    days = pa.array(frame[day], pa.date32())
    never = pa.nulls(len(frame), pa.date32())
    table = pa.Table.from_pandas(frame.drop(columns=[day]), preserve_index=False)
    for name, column in (
        (day, days),
        ("known_at", days),
        ("valid_from", never),
        ("valid_to", never),
    ):
        table = table.append_column(name, column)
    return table


def _client_set(tables: dict[str, pa.Table], as_of: date, horizon_days: int) -> ClientSet:
    features: Sequence = client_features(tables)
    found = compute(features, tables, as_ofs=[as_of], population=client_population(tables))
    through = as_of + timedelta(days=horizon_days)
    inactive = no_event(
        found.index,
        tables,
        line_events(tables),
        horizon_days=horizon_days,
        observed_through=through,
    )
    margin = future_sum(
        found.index,
        tables,
        margin_basis(tables).terms,
        horizon_days=horizon_days,
        observed_through=through,
    )
    return ClientSet(found.X, inactive.to_numpy().astype(np.int64), margin.to_numpy())
