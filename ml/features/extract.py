"""Contract tables to compact numpy columns of events, batch by batch, with what was known when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import acero

from ml.features.events import OWN_DATED, EventTable, expression
from ml.features.lookups import AsOfLookup
from ml.features.requests import NO_DAY

Columns = dict[str, npt.NDArray[Any]]
"""Parallel arrays; keys are ``entity``, ``day``, ``start``, ``end`` and ``<use>:<value name>``."""

ALWAYS = NO_DAY
NEVER = -NO_DAY - 1
BATCH_ROWS = 1 << 20
MOST = float(2**60)
"""Sums of absolute scaled values stay below this, so that no total or trend can overflow."""


class Ids:
    """Strings to dense integers in order of appearance, kept across batches and tables."""

    def __init__(self) -> None:
        self.values: pa.Array = pa.array([], pa.string())

    def encode(self, column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """A code for each id, -1 where null."""
        text = pc.cast(column, pa.string())
        encoded = text.combine_chunks().dictionary_encode()
        codes = pc.index_in(encoded.dictionary, value_set=self.values)
        fresh = encoded.dictionary.filter(codes.is_null())
        if len(fresh):
            self.values = pa.concat_arrays([self.values, fresh])
            codes = pc.index_in(encoded.dictionary, value_set=self.values)
        table = np.append(codes.to_numpy(zero_copy_only=False), -1).astype(np.int32)
        indices = encoded.indices.fill_null(len(table) - 1)
        return table[indices.to_numpy(zero_copy_only=False)]


@dataclass
class Uses:
    """Which values of an event table the features sum, count non-null, filter by, tell apart."""

    sums: set[str]
    counts: set[str]
    flags: set[str]
    codes: set[str]

    def columns(self) -> list[str]:
        """All value names, in a fixed order."""
        return sorted(self.sums | self.counts | self.flags | self.codes)


@dataclass
class Events:
    """An event table's rows: those visible from their day on, and those that come late or end."""

    steady: Columns
    late: Columns
    codes: Mapping[str, Ids]


def batches(table: Any) -> Iterator[pa.Table]:
    """A Table's or Dataset's rows in pieces of bounded size."""
    if isinstance(table, pa.Table):
        found: Iterable[pa.RecordBatch] = table.to_batches(max_chunksize=BATCH_ROWS)
    else:
        found = table.to_batches(batch_size=BATCH_ROWS)
    empty = True
    for batch in found:
        if batch.num_rows:
            empty = False
            yield with_int_days(pa.Table.from_batches([batch]))
    if empty:
        yield with_int_days(table.schema.empty_table())


def with_int_days(table: pa.Table) -> pa.Table:
    """Dates and timestamps as int32 days since 1970, so that expressions can subtract them."""
    for position, item in enumerate(table.schema):
        if pa.types.is_temporal(item.type) and not pa.types.is_duration(item.type):
            days = pc.cast(pc.cast(table[position], pa.date32(), safe=False), pa.int32())
            table = table.set_column(position, item.name, days)
    return table


def is_text(kind: Any) -> bool:
    """Whether values of an Arrow type are text, dictionary encoded or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def as_days(column: pa.ChunkedArray, missing: int) -> npt.NDArray[np.int32]:
    """Int32 days with a stand-in for null."""
    return column.fill_null(missing).to_numpy().astype(np.int32, copy=False)


def first_edge(edges: npt.NDArray[np.int32], day: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Index of the first edge on or after each day, ``len(edges)`` where there is none.

    Days beyond the edges are clipped to them, so that a small table replaces binary search.
    """
    if not len(edges):
        return np.zeros(len(day), np.int64)
    low, high = int(edges[0]), int(edges[-1]) + 1
    if high - low > 4 * len(day):
        return np.searchsorted(edges, day)
    table = np.searchsorted(edges, np.arange(low, high + 1, dtype=np.int32))
    return table[np.clip(day, low, high) - np.int32(low)]


def knowledge(table: pa.Table) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """First day on which each row version counts, and first day on which it no longer does."""
    start = np.full(table.num_rows, ALWAYS, np.int32)
    for name in ("known_at", "valid_from"):
        if name in table.column_names:
            np.maximum(start, as_days(table[name], ALWAYS), out=start)
    if "valid_to" in table.column_names and table["valid_to"].null_count < table.num_rows:
        return start, as_days(table["valid_to"], NEVER)
    return start, np.full(table.num_rows, NEVER, np.int32)


def project(table: pa.Table, wanted: Mapping[str, pc.Expression], label: str) -> pa.Table:
    """Evaluate expressions row by row, rows in their order."""
    if not wanted:
        return table.select([])
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("table_source", acero.TableSourceNodeOptions(table)),
            acero.Declaration(
                "project", acero.ProjectNodeOptions(list(wanted.values()), list(wanted))
            ),
        ]
    )
    try:
        return plan.to_table(use_threads=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(
            f"{label}: cannot evaluate { {k: str(v) for k, v in wanted.items()} }: {error}; "
            f"the table has {table.schema.names}. Declare only columns that are there."
        ) from error


def extract(
    source: Any,
    entity: str,
    uses: Mapping[EventTable, Uses],
    lookups: Mapping[EventTable, AsOfLookup],
    ids: Ids,
    dates: npt.NDArray[np.int32],
) -> dict[EventTable, Events]:
    """Events of every declaration over one contract table, read once.

    Rows that no date can see are dropped. A row is steady when every date from its day on sees
    it: monthly dates make a row that came two days late steady unless a month ended in between.
    """
    steady: dict[EventTable, list[Columns]] = {events: [] for events in uses}
    late: dict[EventTable, list[Columns]] = {events: [] for events in uses}
    codes = {events: {name: Ids() for name in use.codes} for events, use in uses.items()}
    for table in batches(source):
        who = ids.encode(table[entity])
        start, end = knowledge(table)
        for events, use in uses.items():
            day, known = _event_day(table, events)
            if events in lookups:
                known = lookups[events].join(known, day)
            seen = first_edge(dates, np.maximum(day, start))
            gone = first_edge(dates, end)
            visible = (who >= 0) & (day != NEVER) & (seen < gone)
            lasting = (seen == first_edge(dates, day)) & (gone == len(dates))
            columns = {"entity": who, "day": day, "start": start, "end": end}
            columns |= _values(known, events, use, codes[events])
            steady[events].append(_take(columns, visible & lasting, drop=("start", "end")))
            late[events].append(_take(columns, visible & ~lasting))
    found = {}
    for events in uses:
        found[events] = Events(
            _concat(steady.pop(events)), _concat(late.pop(events)), codes[events]
        )
        _check_size(found[events], events)
    return found


def _event_day(table: pa.Table, events: EventTable) -> tuple[npt.NDArray[np.int32], pa.Table]:
    """Each row's event day (``NEVER``: none), and the table as it was known that day."""
    label = f"events {events.name!r} over table {events.table!r}, day"
    wanted = {"day": expression(events.day)}

    def days_of(known: pa.Table) -> npt.NDArray[np.int32]:
        return as_days(pc.cast(project(known, wanted, label)["day"], pa.int32()), NEVER)

    day = days_of(table)
    own = {c: by for c, by in OWN_DATED.get(events.table, {}).items() if c in table.column_names}
    if not own:
        return day, table
    known, blank = table, table
    for column, by in own.items():
        later = as_days(table[by], NEVER) > day if by in table.column_names else np.ones_like(day)
        values = table[column].combine_chunks()
        position = table.column_names.index(column)
        hidden = pc.if_else(pa.array(later.astype(bool)), pa.scalar(None, values.type), values)
        known = known.set_column(position, column, hidden)
        blank = blank.set_column(position, column, pa.nulls(len(values), values.type))
    unread = days_of(blank)
    if np.any((days_of(known) != day) | ((unread != NEVER) & (unread != day))):
        raise ValueError(
            f"{label} {events.describe()['day']!r} depends on {sorted(own)} before they are known: "
            "it must be null where such a column is null, and not earlier than its date."
        )
    return day, known


def _values(table: pa.Table, events: EventTable, use: Uses, codes: Mapping[str, Ids]) -> Columns:
    label = f"events {events.name!r} over table {events.table!r}"
    found = project(table, {name: events.value(name) for name in use.columns()}, label)
    columns: Columns = {}
    for name in use.columns():
        column = found[name]
        if name in use.sums:
            columns[f"sum:{name}"] = _scaled(column, events, name)
        if name in use.counts:
            columns[f"valid:{name}"] = pc.invert(pc.is_null(column, nan_is_null=True)).to_numpy()
        if name in use.flags:
            if not pa.types.is_boolean(column.type):
                raise ValueError(f"{label}: where={name!r} must be boolean, it is {column.type}")
            columns[f"flag:{name}"] = column.fill_null(False).to_numpy()
        if name in use.codes:
            columns[f"code:{name}"] = codes[name].encode(column)
    return columns


def _scaled(column: pa.ChunkedArray, events: EventTable, name: str) -> npt.NDArray[np.int64]:
    """Numbers as integers in units of 10**-decimals, null and NaN as 0."""
    if is_text(column.type):
        raise ValueError(f"events {events.name!r}: {name!r} is text, only numbers can be summed")
    numbers = pc.cast(column, pa.float64(), safe=False).fill_null(0.0).to_numpy()
    scaled = np.rint(np.where(np.isnan(numbers), 0.0, numbers) * 10.0**events.decimals)
    if scaled.size and np.max(np.abs(scaled)) >= MOST:
        raise OverflowError(
            f"events {events.name!r}: {name!r} holds {numbers[np.argmax(np.abs(scaled))]}; at "
            f"{events.decimals} decimals values must stay below {MOST / 10**events.decimals:g}. "
            "Correct the row or declare fewer decimals."
        )
    return scaled.astype(np.int64)


def _check_size(found: Events, events: EventTable) -> None:
    for key in found.steady:
        if key.startswith("sum:"):
            sizes = (np.abs(rows[key]).sum(dtype=np.float64) for rows in (found.steady, found.late))
            if sum(sizes) >= MOST:
                raise OverflowError(
                    f"events {events.name!r}: absolute values of {key[4:]!r} add up to over "
                    f"{MOST / 10**events.decimals:g}: declare fewer than {events.decimals} decimals"
                )


def _take(columns: Columns, mask: npt.NDArray[np.bool_], drop: Sequence[str] = ()) -> Columns:
    kept = {name: column for name, column in columns.items() if name not in drop}
    return kept if mask.all() else {name: column[mask] for name, column in kept.items()}


def _concat(pieces: list[Columns]) -> Columns:
    """One array a column; pieces are let go column by column, to keep the peak low."""
    return {name: np.concatenate([p.pop(name) for p in pieces]) for name in list(pieces[0])}
