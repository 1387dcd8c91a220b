"""What was planted in the sample firm, as tables of their own. Only tests read them.

| table | one row is | columns |
|---|---|---|
| leaves | client who left | client_id, left_on (first day without them), cause, gave_notice |
| churn | client, month end | client_id, as_of, has_left, probability (of no purchase in 90 days) |
| leaks | mistake | item_kind (line, work_entry), item_id, client_id, leak_kind, amount, \
happened_on, corrected_on (null: never so far), corrected_by (the line that puts it right) |
| elasticities | service, segment | service_id, segment, elasticity, price_moves |
| win_curves | service, segment | service_id, segment, level, sensitivity: the chance to win is \
1 - exp(-exp(level - sensitivity x log(price / list) + 0.35 x urgency)) |
| quotes | quote | quote_id, win_probability |
| channels | channel | channel, curve, top, half, lag_size, lag_chance (money at this firm's size) |
| contributions | channel, week | channel, period (Monday), spend, contribution |
| baseline | week | period, baseline (the outcome without media and noise) |
| anomalies | planted anomaly | subject_kind (series, client, line), subject_id, observed_at, kind |
| level_shifts | service, day | service_id, changed_on, log_step |

Parameters that stand in no table: the agreed price is the one in ``rates``; a leak's amount is
what the firm is short of. A series anomaly has a row for each day of a flat line, and for the
first day of a level shift.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from warehouse.sources.sample import tables
from warehouse.sources.sample.arrow import blank, dates, ids, words
from warehouse.sources.sample.catalogue import COUNT, FIXED_PRICE, SEGMENTS, service_ids
from warehouse.sources.sample.churn_truth import FIRST, true_chance
from warehouse.sources.sample.lives import CAUSES, NEVER
from warehouse.sources.sample.marketing import CHANNELS, marketing
from warehouse.sources.sample.measures import SERIES, measures
from warehouse.sources.sample.mistakes import (
    BILLED_AGAIN,
    CREDIT_REVERSED,
    LEAK_NAMES,
    LETTERS,
    PRICE_TYPO,
    QUANTITY_TYPO,
    SECOND_CREDIT,
    TYPO_NAMES,
    UNBILLED,
    WORK_BILLED,
)
from warehouse.sources.sample.quotes import LEVEL, sensitivity
from warehouse.sources.sample.streams import Bools, Ints
from warehouse.sources.sample.world import Chunk, World, simulate


def truth_tables(world: World) -> dict[str, pa.Table]:
    """All truth tables by name."""
    parts: dict[str, list[pa.Table]] = {}
    for number in world.numbers():
        chunk = simulate(world, number)
        for name, table in (
            ("leaves", _leaves(world, chunk)),
            ("churn", _churn(world, chunk)),
            ("leaks", _leaks(world, chunk)),
            ("quotes", _quotes(chunk)),
            ("anomalies", _client_and_line_anomalies(chunk)),
        ):
            parts.setdefault(name, []).append(table)
    parts["anomalies"].append(_series_anomalies(world))
    found = {name: pa.concat_tables(pieces) for name, pieces in parts.items()}
    return found | _prices(world) | _media(world) | {"level_shifts": _level_shifts(world)}


def _leaves(world: World, chunk: Chunk) -> pa.Table:
    lived = chunk.lives
    gone = np.nonzero(lived.left <= world.last)[0]
    return pa.table(
        {
            "client_id": tables.client_id(chunk.clients.number[gone]),
            "left_on": dates(lived.left[gone]),
            "cause": words(lived.cause[gone], CAUSES),
            "gave_notice": pa.array(lived.gives_notice[gone]),
        }
    )


def _churn(world: World, chunk: Chunk) -> pa.Table:
    c, lived = chunk.clients, chunk.lives
    pieces = []
    for day in world.calendar.month_ends(FIRST, world.last):
        chance = true_chance(world, c, lived, day)
        started = np.nonzero(c.started <= day)[0]
        pieces.append(
            pa.table(
                {
                    "client_id": tables.client_id(c.number[started]),
                    "as_of": dates(np.full(len(started), day)),
                    "has_left": pa.array(lived.left[started] <= day),
                    "probability": chance[started],
                }
            )
        )
    return pa.concat_tables(pieces)


def _corrected(chunk: Chunk, kinds: tuple[int, ...]) -> tuple[Ints, Ints]:
    """For each line the day on which it was put right and the extra line that did it, else NEVER
    and -1."""
    day = np.full(len(chunk.lines), NEVER)
    by = np.full(len(chunk.lines), -1)
    rows = np.nonzero(np.isin(chunk.extra.kind, kinds))[0]
    about = chunk.extra.about[rows]
    day[about] = chunk.orders.day[chunk.extra.order[rows]]
    by[about] = rows
    return day, by


def _leaks(world: World, chunk: Chunk) -> pa.Table:
    lines, billed, extra = chunk.lines, chunk.billed, chunk.extra
    corrected, by = _corrected(chunk, (BILLED_AGAIN, WORK_BILLED))
    wrong = np.nonzero(np.isin(billed.fault, list(LEAK_NAMES)) & (billed.fault != UNBILLED))[0]
    due = np.round(lines.quantity * lines.price, 2)
    short = np.round(due - np.round(billed.quantity * billed.unit_price, 2), 2)
    codes = np.array([0, *LEAK_NAMES])
    names = ["", *LEAK_NAMES.values()]
    on_line = _leak_rows(
        chunk, "line", tables.line_id(chunk, wrong), wrong,
        words(np.searchsorted(codes, billed.fault[wrong]), names),
        short[wrong], chunk.orders.day[lines.order[wrong]], corrected[wrong], by[wrong],
    )  # fmt: skip

    entries = chunk.entries
    seen = np.nonzero((billed.fault[entries.line] == UNBILLED) & (entries.part == 0))[0]
    seen = seen[entries.known[seen] <= world.last]
    work = entries.line[seen]
    unbilled = _leak_rows(
        chunk, "work_entry", tables.entry_id(chunk, work, entries.part[seen]), work,
        words(np.zeros_like(work), ["unbilled"]),
        due[work], entries.worked[seen], corrected[work], by[work],
    )  # fmt: skip

    twice = np.nonzero(extra.kind == SECOND_CREDIT)[0]
    about = extra.about[twice]
    corrected, by = _corrected(chunk, (CREDIT_REVERSED,))
    double = _leak_rows(
        chunk, "line", tables.extra_id(chunk, twice), about,
        words(np.zeros_like(about), ["double_credit"]),
        np.round(-extra.quantity[twice] * extra.unit_price[twice], 2),
        chunk.orders.day[extra.order[twice]], corrected[about], by[about],
    )  # fmt: skip
    return pa.concat_tables([on_line, unbilled, double])


def _leak_rows(
    chunk: Chunk,
    item_kind: str,
    item_id: pa.Array,
    line: Ints,
    leak_kind: pa.Array,
    amount: np.ndarray,
    happened: Ints,
    corrected: Ints,
    by: Ints,
) -> pa.Table:
    open_: Bools = corrected == NEVER
    order = chunk.lines.order[line]
    return pa.table(
        {
            "item_kind": words(np.zeros_like(line), [item_kind]),
            "item_id": item_id,
            "client_id": tables.client_id(chunk.clients.number[chunk.orders.row[order]]),
            "leak_kind": leak_kind,
            "amount": amount,
            "happened_on": dates(happened),
            "corrected_on": dates(np.where(open_, 0, corrected), open_),
            "corrected_by": blank(_safe_extra_id(chunk, by), open_),
        }
    )


def _safe_extra_id(chunk: Chunk, by: Ints) -> pa.Array:
    """Ids of extra lines; any id where ``by`` is -1 (blanked by the caller)."""
    if len(chunk.extra) == 0:
        return ids(LETTERS[0], (np.zeros_like(by), 14))
    return tables.extra_id(chunk, np.maximum(by, 0))


def _quotes(chunk: Chunk) -> pa.Table:
    quotes = chunk.quotes
    number = chunk.clients.number[quotes.row]
    return pa.table(
        {
            "quote_id": ids("Q", (number, 7), (quotes.day, 5)),
            "win_probability": quotes.chance,
        }
    )


def _client_and_line_anomalies(chunk: Chunk) -> pa.Table:
    lines, orders, billed = chunk.lines, chunk.orders, chunk.billed
    burst = np.nonzero(orders.burst)[0]
    typo = np.nonzero(np.isin(billed.fault, [PRICE_TYPO, QUANTITY_TYPO]))[0]
    kinds = [*TYPO_NAMES.values(), "burst"]
    code = np.concatenate([billed.fault[typo] - PRICE_TYPO, np.full(len(burst), 2)])
    return _anomaly_rows(
        words((code == 2).astype(np.int64), ["line", "client"]),
        pa.concat_arrays(
            [
                tables.line_id(chunk, typo),
                tables.client_id(chunk.clients.number[orders.row[burst]]),
            ]
        ),
        np.concatenate([orders.day[lines.order[typo]], orders.day[burst]]),
        words(code, kinds),
    )


def _series_anomalies(world: World) -> pa.Table:
    found = measures(world.streams, world.calendar, world.last)
    return _anomaly_rows(
        words(np.zeros_like(found.series), ["series"]),
        words(found.series, [row[0] for row in SERIES]),
        found.day,
        pa.array(found.kind, type=pa.string()),
    )


def _anomaly_rows(kind: pa.Array, subject: pa.Array, day: Ints, what: pa.Array) -> pa.Table:
    return pa.table(
        {"subject_kind": kind, "subject_id": subject, "observed_at": dates(day), "kind": what}
    )


def _prices(world: World) -> dict[str, pa.Table]:
    service, segment = np.nonzero(np.ones((COUNT, len(SEGMENTS)), dtype=bool))
    names = {
        "service_id": words(service, service_ids()),
        "segment": words(segment, SEGMENTS),
    }
    curves = {
        "level": LEVEL[segment],
        "sensitivity": sensitivity(world.streams)[service],
    }
    elasticities = {
        "elasticity": world.catalogue.elasticity[service, segment],
        "price_moves": pa.array(~np.isin(service, FIXED_PRICE)),
    }
    return {
        "elasticities": pa.table(names | elasticities),
        "win_curves": pa.table(names | curves),
    }


def _media(world: World) -> dict[str, pa.Table]:
    market = marketing(world.streams, world.calendar, world.clients, world.last)
    scale = world.clients / 1000.0
    weeks = len(market.monday)
    channel = np.repeat(np.arange(len(CHANNELS)), weeks)
    names = [row.name for row in CHANNELS]
    return {
        "channels": pa.table(
            {
                "channel": names,
                "curve": [row.curve for row in CHANNELS],
                "top": [row.top * scale for row in CHANNELS],
                "half": [row.half * scale for row in CHANNELS],
                "lag_size": [row.lag_size for row in CHANNELS],
                "lag_chance": [row.lag_chance for row in CHANNELS],
            }
        ),
        "contributions": pa.table(
            {
                "channel": words(channel, names),
                "period": dates(np.tile(market.monday, len(CHANNELS))),
                "spend": market.spend.ravel(),
                "contribution": market.contribution.ravel(),
            }
        ),
        "baseline": pa.table({"period": dates(market.monday), "baseline": market.baseline}),
    }


def _level_shifts(world: World) -> pa.Table:
    steps = np.diff(world.catalogue.level[:, : world.last + 1], axis=1)
    service, day = np.nonzero(steps)
    return pa.table(
        {
            "service_id": words(service, service_ids()),
            "changed_on": dates(day + 1),
            "log_step": steps[service, day],
        }
    )
