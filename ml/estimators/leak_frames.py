"""The detector's inputs, checked and brought to one form: lines, rates and work entries."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.estimators.times import times_of

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
    """Days since 1970, int32, shape (rows,)."""
    return times_of(column).to_numpy(dtype="datetime64[D]").astype(np.int32)


def ids_of(column: pd.Series) -> pd.Series:
    """Ids as strings, missing and empty ones missing; the index is the place."""
    texts = column.reset_index(drop=True).astype("str")
    empty = texts == ""
    return texts.mask(empty) if empty.any() else texts


def _optional_ids(frame: pd.DataFrame, name: str) -> pd.Series:
    if name in frame:
        return ids_of(frame[name])
    return pd.Series(np.nan, index=range(len(frame)), dtype="str")


def _texts(column: pd.Series) -> pd.Series:
    return column.reset_index(drop=True).astype("str")


def plain_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines with string ids, ``day`` and float quantity and price; what the memory keeps."""
    check_columns(lines, LINE_COLUMNS, "lines")
    quantity = pd.to_numeric(lines["quantity"]).to_numpy(dtype=np.float64)
    price = pd.to_numeric(lines["unit_price"]).to_numpy(dtype=np.float64)
    price = np.where(np.abs(price) < _NO_PRICE, 0.0, price)
    plain = {
        "line_id": _texts(lines["line_id"]),
        "client_id": _texts(lines["client_id"]),
        "service_id": _texts(lines["service_id"]),
        "invoice_id": _optional_ids(lines, "invoice_id"),
        "day": days_of(lines["issued_on"]),
        # Some sources write a credit as a negative price; here it is a negative quantity.
        "quantity": np.where(price < 0, -quantity, quantity),
        "unit_price": np.abs(price),
    }
    for name in (CORRECTS_LINE, CORRECTS_ENTRY):
        if name in lines:
            plain[name] = ids_of(lines[name])
    return pd.DataFrame(plain)


def plain_work(work: pd.DataFrame) -> pd.DataFrame:
    """Work entries with string ids, ``day``, a boolean ``billable`` (missing: true)."""
    check_columns(work, WORK_COLUMNS, "work")
    billable = np.ones(len(work), dtype=bool)
    if "billable" in work:
        column = work["billable"]
        if column.dtype == bool:
            billable = column.to_numpy()
        else:
            billable = column.astype(object).where(column.notna(), True).astype(bool).to_numpy()
    return pd.DataFrame(
        {
            "entry_id": _texts(work["entry_id"]),
            "client_id": _texts(work["client_id"]),
            "service_id": _texts(work["service_id"]),
            "day": days_of(work["worked_on"]),
            "quantity": pd.to_numeric(work["quantity"]).to_numpy(dtype=np.float64),
            "billable": billable,
            "line_id": _optional_ids(work, "line_id"),
        }
    )


def plain_rates(rates: pd.DataFrame | None) -> pd.DataFrame | None:
    """Rates with string ids (None: everyone) and dates, or None."""
    if rates is None:
        return None
    check_columns(rates, RATE_COLUMNS, "rates")
    valid_to = rates["valid_to"] if "valid_to" in rates else pd.Series(pd.NaT, rates.index)
    return pd.DataFrame(
        {
            "service_id": _texts(rates["service_id"]),
            "client_id": _optional_ids(rates, "client_id"),
            "valid_from": times_of(rates["valid_from"]).to_numpy(dtype="datetime64[s]"),
            "unit_price": pd.to_numeric(rates["unit_price"]).to_numpy(dtype=np.float64),
            "valid_to": times_of(valid_to).to_numpy(dtype="datetime64[s]"),
        }
    )


def places(ids: pd.Series, among: pd.Series | pd.Index) -> np.ndarray:
    """Where each of ``ids`` (many) stands in ``among`` (distinct, fewer), -1: nowhere."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given, held = pa.array(ids, pa.large_string()), pa.array(among, pa.large_string())
    at = pc.index_in(given, value_set=held).fill_null(-1)
    return np.asarray(at.to_numpy(zero_copy_only=False))


def first_places(ids: pd.Series, among: pd.Index) -> np.ndarray:
    """Where each of ``among`` (distinct) first stands in ``ids`` (many), -1: nowhere."""
    which = places(ids, among)
    at = np.nonzero(which >= 0)[0]
    out = np.full(len(among), -1)
    out[which[at][::-1]] = at[::-1]  # of several the first is written last
    return out
