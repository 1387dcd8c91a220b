"""From declared features and contract tables to figures as of many dates at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ml.features.blocks import EventBlock, edges_of
from ml.features.declarations import Feature
from ml.features.derived import Attribute
from ml.features.events import EventTable
from ml.features.extract import Columns, Events, Ids, Uses, extract, knowledge, with_int_days
from ml.features.frame import FeatureFrame
from ml.features.lookups import AsOfLookup
from ml.features.population import Population
from ml.features.requests import Extreme, Request, State, WindowDistinct, WindowTotal
from ml.features.states import StateTable

BLOCK_CELLS = 1 << 20
"""Dense cells of one block (8 MiB of int64, about a processor's cache): bounds memory."""


def compute(
    features: Sequence[Feature],
    tables: Mapping[str, Any],
    *,
    as_ofs: Sequence[date],
    population: Population,
    entity: str = "client_id",
    block_cells: int = BLOCK_CELLS,
) -> FeatureFrame:
    """Every feature of every member of the population at every date.

    ``tables`` maps contract names to pyarrow Tables or Datasets with the columns of a snapshot
    read (``known_at``, ``valid_from``, ``valid_to`` beside the contract's). A row version counts
    at as_of where ``known_at <= as_of`` and ``valid_from <= as_of < valid_to``, an event also
    needs its own day to have come. Many dates give bit for bit what single dates give.

    Raises ValueError for repeated names, no dates, or tables and columns that are not there;
    OverflowError where sums would not fit scaled 64-bit integers.
    """
    names = [feature.name for feature in features]
    repeated = sorted(
        {name for name in names if names.count(name) > 1 or name in (entity, "as_of")}
    )
    if repeated or not len(as_ofs):
        raise ValueError(
            f"features need names of their own and at least one date; "
            f"repeated or reserved: {repeated}, dates: {len(as_ofs)}"
        )
    dates = np.unique(np.array(list(as_ofs), "datetime64[D]")).astype(np.int32)
    requests = {r for f in features for r in f.needs()} | set(population.needs())
    ids = Ids()
    events, states = _read(requests, tables, entity, ids, dates)
    rank, sorted_ids = _ranked(ids)
    for state in states.values():
        state.set_order(rank)
    size = _block_size(requests, events, dates, len(rank), block_cells)
    blocks = {table: _partition(found, rank, size) for table, found in events.items()}
    pieces = _Pieces(features, states)
    for number in range(-(-len(rank) // size)):
        first = number * size
        width = min(size, len(rank) - first)
        answers: dict[Request, npt.NDArray[Any]] = {}
        for table, cut in blocks.items():
            steady, late = cut[number]
            asked = [r for r in requests if _events_of(r) == table]
            answers |= EventBlock(steady, late, width, dates).answer(asked)
        for name, state in states.items():
            answers[State(name)] = state.rows_at(dates, first, width)
        pieces.add(answers, population.member(answers, dates), dates, first)
    return FeatureFrame(pieces.frame(entity, sorted_ids, dates), tuple(features), entity)


def _events_of(request: Request) -> EventTable | None:
    if isinstance(request, WindowTotal):
        return request.total.events
    if isinstance(request, WindowDistinct):
        return request.distinct.events
    return request.events if isinstance(request, Extreme) else None


def _uses(requests: Iterable[Request]) -> dict[EventTable, Uses]:
    """The value columns that the requests read, by event table, in a fixed order."""
    uses: dict[EventTable, Uses] = {}
    for request in requests:
        events = _events_of(request)
        if events is None:
            continue
        use = uses.setdefault(events, Uses(set(), set(), set(), set()))
        what: Any = request
        if isinstance(request, WindowTotal):
            what = request.total
            if what.column is not None:
                (use.sums if what.kind == "sum" else use.counts).add(what.column)
        elif isinstance(request, WindowDistinct):
            what = request.distinct
            use.codes.add(what.column)
        if what.where is not None:
            use.flags.add(what.where)
    return dict(sorted(uses.items(), key=lambda item: item[0].name))


def _read(
    requests: set[Request],
    tables: Mapping[str, Any],
    entity: str,
    ids: Ids,
    dates: npt.NDArray[np.int32],
) -> tuple[dict[EventTable, Events], dict[str, StateTable]]:
    """Extract every event and state table once, numbering entities as they appear."""

    def table(name: str) -> Any:
        if name not in tables:
            raise ValueError(f"table {name!r} is not among those given: {sorted(tables)}")
        return tables[name]

    uses = _uses(requests)
    keys: dict[str, Ids] = {}
    lookups: dict[EventTable, AsOfLookup] = {}
    for events in uses:
        if events.lookup is not None:
            other = table(events.lookup.table)
            plain = with_int_days(other if isinstance(other, pa.Table) else other.to_table())
            codes = keys.setdefault(events.lookup.table, Ids())
            lookups[events] = AsOfLookup(events.lookup, plain, *knowledge(plain), codes)
    found: dict[EventTable, Events] = {}
    for name in sorted({events.table for events in uses}):
        mine = {events: use for events, use in uses.items() if events.table == name}
        found |= extract(table(name), entity, mine, lookups, ids, dates)
    names = sorted({request.table for request in requests if isinstance(request, State)})
    return found, {name: StateTable(name, table(name), entity, ids) for name in names}


def _ranked(ids: Ids) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Each code's place among the sorted ids, and the sorted ids."""
    order = pc.sort_indices(ids.values).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank, ids.values.take(pa.array(order))


def _block_size(
    requests: set[Request],
    events: Mapping[EventTable, Events],
    dates: npt.NDArray[np.int32],
    entities: int,
    cells: int,
) -> int:
    """Entities a block, so that its widest dense array stays within ``cells``."""
    widest = len(dates)
    for table, found in events.items():
        windows = [
            r.window for r in requests if isinstance(r, WindowTotal) and r.total.events == table
        ]
        widest = max(widest, len(edges_of(windows, dates)))
        if any(isinstance(r, WindowTotal) and r.total.kind == "days" for r in requests):
            days = np.concatenate([found.steady["day"], found.late["day"]])
            # the bitmap of active days has cells of one byte
            widest = max(widest, (int(days.max()) - int(days.min())) // 8 if len(days) else 0)
    return max(1, min(entities, max(64, cells // widest)))


def _partition(
    found: Events, rank: npt.NDArray[np.int32], size: int
) -> list[tuple[Columns, Columns]]:
    """Cut the events into blocks of ``size`` entities, which are numbered from 0 in each."""
    blocks = -(-len(rank) // size)
    cuts = [_cut(columns, rank, size, blocks) for columns in (found.steady, found.late)]
    return list(zip(*cuts, strict=True))


def _cut(columns: Columns, rank: npt.NDArray[np.int32], size: int, blocks: int) -> list[Columns]:
    entity = rank[columns["entity"]]
    block = entity // np.int32(size)
    if blocks > 1:
        order = np.argsort(block.astype(np.uint16 if blocks < 65536 else np.int64), kind="stable")
        columns["entity"] = entity % np.int32(size)
        for name in columns:
            columns[name] = columns[name][order]
    else:
        columns["entity"] = entity
    ends = np.cumsum(np.bincount(block, minlength=blocks))
    starts = ends - np.bincount(block, minlength=blocks)
    return [
        {name: column[a:b] for name, column in columns.items()}
        for a, b in zip(starts, ends, strict=True)
    ]


class _Pieces:
    """Figures block by block, kept by date until they are joined column by column."""

    def __init__(self, features: Sequence[Feature], states: Mapping[str, StateTable]) -> None:
        self._features, self._states = features, states
        self._members: list[list[npt.NDArray[np.int64]]] = []
        self._columns: list[list[list[npt.NDArray[Any]]]] = [[] for _ in features]

    def add(
        self,
        answers: Mapping[Request, npt.NDArray[Any]],
        member: npt.NDArray[np.bool_],
        dates: npt.NDArray[np.int32],
        first: int,
    ) -> None:
        self._members.append([np.flatnonzero(row) + first for row in member])
        for feature, column in zip(self._features, self._columns, strict=True):
            if isinstance(feature, Attribute):
                figure = answers[feature.needs()[0]]
            else:
                figure = np.broadcast_to(feature.figure(answers, dates), member.shape)
            column.append([row[chosen] for row, chosen in zip(figure, member, strict=True)])

    def frame(self, entity: str, ids: pa.Array, dates: npt.NDArray[np.int32]) -> pd.DataFrame:
        """Rows by date, then entity; each feature's pieces are let go as they are joined."""
        counts = [sum(len(block[i]) for block in self._members) for i in range(len(dates))]
        days = np.repeat(dates, counts)
        who = _joined(self._members, len(dates), np.int64)
        columns: dict[str, Any] = {
            entity: _text(ids.take(pa.array(who))),
            "as_of": days.astype("datetime64[D]").astype("datetime64[s]"),
        }
        for position, feature in enumerate(self._features):
            pieces, self._columns[position] = self._columns[position], []
            if isinstance(feature, Attribute):
                rows = _joined(pieces, len(dates), np.int64)
                found = self._states[feature.table].column(feature.column, rows, days)
                is_text = pa.types.is_large_string(found.type)
                columns[feature.name] = _text(found) if is_text else _floats(found)
            else:
                columns[feature.name] = _joined(pieces, len(dates), np.float64)
        return pd.DataFrame(columns, copy=False)


def _joined(blocks: list[list[npt.NDArray[Any]]], dates: int, kind: Any) -> npt.NDArray[Any]:
    parts = [block[index] for index in range(dates) for block in blocks]
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _text(column: pa.Array) -> pd.Series:
    return pd.Series(pc.cast(column, pa.large_string()).to_pandas(), dtype="str")


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    return column.fill_null(np.nan).to_numpy(zero_copy_only=False)
