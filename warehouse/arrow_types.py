"""The Arrow type of each kind of column; it loads nothing but Arrow."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

ARROW: Mapping[str, pa.DataType] = {
    "instant": pa.timestamp("us", "UTC"),
    "json": pa.string(),
    "bool": pa.bool_(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "float": pa.float64(),
    "local": pa.timestamp("us"),
    "date": pa.date32(),
    "text": pa.string(),
}
"""Each holds the values of its kind exactly; the kinds are those of ``warehouse.types``."""
