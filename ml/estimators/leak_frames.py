"""The detector's inputs, checked and brought to one form: lines, rates and work entries."""

from __future__ import annotations

import numpy as np
import pandas as pd

LINE_COLUMNS = ("line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price")
RATE_COLUMNS = ("service_id", "valid_from", "unit_price")
WORK_COLUMNS = ("entry_id", "client_id", "service_id", "worked_on", "quantity")
_NO_PRICE = 1e-6
#: Where a source's lines say which line or work entry they put right.
CORRECTS_LINE, CORRECTS_ENTRY = "corrects_line_id", "corrects_entry_id"


def check_columns(frame: pd.DataFrame, needed: tuple[str, ...], what: str) -> None:
    """Refuse a frame that lacks needed columns or holds missing values in them, by name."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{what} must be a pandas DataFrame, got {type(frame)!r}")
    lacking = [name for name in needed if name not in frame.columns]
    if lacking:
        raise ValueError(
            f"{what} lacks {lacking}; it needs {list(needed)} and has {list(map(str, frame))}"
        )
    for name in needed:
        empty = int(frame[name].isna().sum())
        if empty:
            raise ValueError(
                f"{what} has {empty} missing values in {name!r}: leave those rows out or fill them"
            )


def days_of(column: pd.Series) -> np.ndarray:
    """Days since 1970, int64, shape (rows,)."""
    return pd.to_datetime(column).to_numpy(dtype="datetime64[D]").astype(np.int64)


def ids_of(column: pd.Series) -> pd.Series:
    """Ids as strings, missing and empty ones as None."""
    texts = column.astype(object).where(column.notna(), None)
    return texts.map(lambda value: None if value is None or value == "" else str(value)).astype(
        object
    )


def plain_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines with string ids, ``day`` and float quantity and price; what the memory keeps."""
    check_columns(lines, LINE_COLUMNS, "lines")
    quantity = pd.to_numeric(lines["quantity"]).to_numpy(dtype=np.float64)
    price = pd.to_numeric(lines["unit_price"]).to_numpy(dtype=np.float64)
    price = np.where(np.abs(price) < _NO_PRICE, 0.0, price)
    plain = pd.DataFrame(
        {
            "line_id": lines["line_id"].astype(str).to_numpy(dtype=object),
            "client_id": lines["client_id"].astype(str).to_numpy(dtype=object),
            "service_id": lines["service_id"].astype(str).to_numpy(dtype=object),
            "invoice_id": ids_of(lines["invoice_id"]).to_numpy()
            if "invoice_id" in lines
            else np.full(len(lines), None, dtype=object),
            "day": days_of(lines["issued_on"]),
            # Some sources write a credit as a negative price; here it is a negative quantity.
            "quantity": np.where(price < 0, -quantity, quantity),
            "unit_price": np.abs(price),
        }
    )
    for name in (CORRECTS_LINE, CORRECTS_ENTRY):
        plain[name] = (
            ids_of(lines[name]).to_numpy()
            if name in lines
            else np.full(len(lines), None, dtype=object)
        )
    return plain


def coded(lines: pd.DataFrame) -> pd.DataFrame:
    """Add the integer columns client, service, invoice and order that the rules compare by.

    A line without an invoice counts as on the client's invoice of that day.
    """
    client = pd.factorize(lines["client_id"])[0]
    own_day = client.astype(np.int64) * (1 << 20) + lines["day"].to_numpy() % (1 << 20)
    named = lines["invoice_id"].notna().to_numpy()
    invoice = pd.factorize(lines["invoice_id"])[0].astype(np.int64)
    by_day = np.unique(own_day, return_inverse=True)[1] + invoice.max(initial=-1) + 1
    return lines.assign(
        client=client,
        service=pd.factorize(lines["service_id"])[0],
        invoice=np.unique(np.where(named, invoice, by_day), return_inverse=True)[1],
        order=np.arange(len(lines)),
    )


def plain_work(work: pd.DataFrame) -> pd.DataFrame:
    """Work entries with string ids, ``day``, a boolean ``billable`` (missing: true)."""
    check_columns(work, WORK_COLUMNS, "work")
    billable = np.ones(len(work), dtype=bool)
    if "billable" in work:
        column = work["billable"]
        billable = column.astype(object).where(column.notna(), True).astype(bool).to_numpy()
    return pd.DataFrame(
        {
            "entry_id": work["entry_id"].astype(str).to_numpy(dtype=object),
            "client_id": work["client_id"].astype(str).to_numpy(dtype=object),
            "service_id": work["service_id"].astype(str).to_numpy(dtype=object),
            "day": days_of(work["worked_on"]),
            "quantity": pd.to_numeric(work["quantity"]).to_numpy(dtype=np.float64),
            "billable": billable,
            "line_id": ids_of(work["line_id"]).to_numpy()
            if "line_id" in work
            else np.full(len(work), None, dtype=object),
        }
    )


def plain_rates(rates: pd.DataFrame | None) -> pd.DataFrame | None:
    """Rates with string ids (None: everyone) and dates, or None."""
    if rates is None:
        return None
    check_columns(rates, RATE_COLUMNS, "rates")
    rows = len(rates)
    return pd.DataFrame(
        {
            "service_id": rates["service_id"].astype(str).to_numpy(dtype=object),
            "client_id": ids_of(rates["client_id"]).to_numpy()
            if "client_id" in rates
            else np.full(rows, None, dtype=object),
            "valid_from": pd.to_datetime(rates["valid_from"]).to_numpy(dtype="datetime64[s]"),
            "unit_price": pd.to_numeric(rates["unit_price"]).to_numpy(dtype=np.float64),
            "valid_to": pd.to_datetime(rates["valid_to"]).to_numpy(dtype="datetime64[s]")
            if "valid_to" in rates
            else np.full(rows, np.datetime64("NaT"), dtype="datetime64[s]"),
        }
    )
