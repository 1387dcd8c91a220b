"""A person's export of churn features as CSV, with rows in it that are broken in known ways."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

BROKEN_SHARE = 0.01
BLOCK_ROWS = 50_000
FEATURES = "features."
NUMBER = "revenue_90d"
"""The feature whose cell is broken where a number is."""

Cells = list[bytes]


def _number(text: bytes) -> Callable[[Cells, int], bytes]:
    def broken(cells: Cells, place: int) -> bytes:
        return b",".join([*cells[:place], text, *cells[place + 1 :]])

    return broken


BROKEN: Mapping[str, Callable[[Cells, int], bytes]] = {
    "a text for a number": _number(b"n/a"),
    "a number that is too large": _number(b"5e14"),
    "a number without end": _number(b"1e400"),
    "a value too few": lambda cells, _: b",".join(cells[:-1]),
    "a value too many": lambda cells, _: b",".join([*cells, b"1"]),
    "not UTF-8": lambda cells, _: b",".join([b"Caf\xe9", *cells[1:]]),
    "a client nobody knows, alone": lambda cells, _: b",".join(
        [b"nobody"] + [b""] * len(cells[1:])
    ),
}


def write(
    features: Sequence[Mapping[str, Any]], rows: int, whole: Path, clean: Path, seed: int = 0
) -> set[int]:
    """Write a file of ``rows`` questions and one without the broken ones; the lines of these.

    Each row has an id of its own and the features of a client drawn from those given, amounts
    scattered and rounded to cents, empty where the client has none.
    """
    rng = np.random.default_rng(seed)
    broken = np.sort(rng.choice(rows, int(rows * BROKEN_SHARE), replace=False)).tolist()
    kinds = list(BROKEN.values())
    names = list(features[0])
    header = ",".join(["client_id", *(FEATURES + name for name in names)]).encode() + b"\n"
    with whole.open("wb") as all_rows, clean.open("wb") as good_rows:
        all_rows.write(header)
        good_rows.write(header)
        for first in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - first)
            lines = _lines(_block(features, first, count, rng))
            here = {place - first for place in broken if first <= place < first + count}
            good_rows.writelines(line for at, line in enumerate(lines) if at not in here)
            for at in here:
                cells = lines[at].rstrip(b"\n").split(b",")
                breaks = kinds[(first + at) % len(kinds)]
                lines[at] = breaks(cells, 1 + names.index(NUMBER)) + b"\n"
            all_rows.writelines(lines)
    return {place + 2 for place in broken}


def _block(
    features: Sequence[Mapping[str, Any]], first: int, count: int, rng: np.random.Generator
) -> pa.Table:
    drawn = rng.integers(0, len(features), count)
    columns: dict[str, Any] = {"client_id": [f"P{first + at:08d}" for at in range(count)]}
    for name in features[0]:
        values = [one[name] for one in features]
        if any(isinstance(value, str) for value in values):
            columns[name] = np.array(values, dtype=object)[drawn]
            continue
        numbers = np.array([np.nan if one is None else one for one in values])
        whole = bool((numbers[~np.isnan(numbers)] % 1 == 0).all())
        cells = numbers[drawn]
        if not whole:
            cells = np.round(cells * rng.lognormal(sigma=0.2, size=count), 2)
        column = pa.array(cells, from_pandas=True)
        columns[name] = column.cast(pa.int64()) if whole else column
    return pa.table(columns)


def _lines(table: pa.Table) -> list[bytes]:
    text = io.BytesIO()
    options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    pacsv.write_csv(table, text, options)
    return text.getvalue().splitlines(keepends=True)
