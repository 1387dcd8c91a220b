"""The contract tables of the sample firm as Arrow, from simulated chunks of clients."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.sources.sample.arrow import blank, dates, ids, words
from warehouse.sources.sample.catalogue import COUNT, REGIONS, SEGMENTS, SERVICES, service_ids
from warehouse.sources.sample.clients import CONTRACTS
from warehouse.sources.sample.days import unix_days
from warehouse.sources.sample.marketing import CHANNELS, CONTROL, OUTCOME, marketing
from warehouse.sources.sample.measures import SERIES, measures
from warehouse.sources.sample.mistakes import LETTERS, WORK_BILLED
from warehouse.sources.sample.streams import Ints
from warehouse.sources.sample.world import Chunk, World

_FIRST_NAMES = (
    "Alder", "Birch", "Cedar", "Dale", "Elm", "Fern", "Grove", "Harbour", "Iris", "Juniper",
    "Kestrel", "Lark", "Maple", "North", "Oak", "Pine", "Quarry", "River", "Stone", "Thorn",
)  # fmt: skip
_LAST_NAMES = (
    "Analytics", "Bakery", "Construction", "Dental", "Energy", "Foods", "Garage", "Hotels",
    "Interiors", "Joinery", "Kitchens", "Logistics", "Media", "Nurseries", "Optics", "Printing",
)  # fmt: skip


def client_id(number: Ints) -> pa.Array:
    """C0000001 for client 1."""
    return ids("C", (number, 7))


def line_id(chunk: Chunk, lines: Ints) -> pa.Array:
    """Ids of ordered lines: client, day, service."""
    order = chunk.lines.order[lines]
    number, day = chunk.clients.number[chunk.orders.row[order]], chunk.orders.day[order]
    return ids("L", (number, 7), (day, 5), (chunk.lines.service[lines], 2))


def extra_id(chunk: Chunk, rows: Ints) -> pa.Array:
    """Ids of credits and corrections: what they are, then the client, day and service concerned."""
    about = chunk.extra.about[rows]
    order = chunk.lines.order[about]
    letters = np.frombuffer(LETTERS.encode(), dtype=np.uint8)[chunk.extra.kind[rows]]
    number, day = chunk.clients.number[chunk.orders.row[order]], chunk.orders.day[order]
    return ids(letters, (number, 7), (day, 5), (chunk.lines.service[about], 2))


def entry_id(chunk: Chunk, lines: Ints, part: Ints) -> pa.Array:
    """Ids of work entries: the line's client, day and service, and the part."""
    order = chunk.lines.order[lines]
    number, day = chunk.clients.number[chunk.orders.row[order]], chunk.orders.day[order]
    return ids("W", (number, 7), (day, 5), (chunk.lines.service[lines], 2), (part, 1))


def _invoice_id(chunk: Chunk, orders: Ints) -> pa.Array:
    return ids(
        "I", (chunk.clients.number[chunk.orders.row[orders]], 7), (chunk.orders.day[orders], 5)
    )


def clients_table(world: World, chunk: Chunk) -> pa.Table:
    """Clients started by the last day; ``ended_on`` only for those who gave notice."""
    c, lived = chunk.clients, chunk.lives
    first = words(world.streams.whole("name.first", len(_FIRST_NAMES), c.number), _FIRST_NAMES)
    last = words(world.streams.whole("name.last", len(_LAST_NAMES), c.number), _LAST_NAMES)
    suffix = pc.cast(pa.array(c.number), pa.string())
    silent = ~(lived.gives_notice & (lived.left <= world.last))
    return pa.table(
        {
            "client_id": client_id(c.number),
            "name": pc.binary_join_element_wise(first, last, suffix, " "),
            "segment": words(c.segment, SEGMENTS),
            "region": words(c.region, REGIONS),
            "started_on": dates(c.started),
            "ended_on": dates(np.where(silent, 0, lived.left), silent),
            "contract": words(c.contract, CONTRACTS),
        }
    )


def lines_table(chunk: Chunk) -> pa.Table:
    """Ordered lines that were billed, then credits and corrections."""
    lines, billed, extra = chunk.lines, chunk.billed, chunk.extra
    own = np.nonzero(billed.on_invoice)[0]
    rest = np.arange(len(extra))
    about = np.concatenate([own, extra.about])
    order = np.concatenate([lines.order[own], extra.order])
    quantity = np.concatenate([billed.quantity[own], extra.quantity])
    price = np.concatenate([billed.unit_price[own], extra.unit_price])
    work = np.concatenate([np.zeros(len(own), dtype=bool), extra.kind == WORK_BILLED])
    plain = np.concatenate([np.ones(len(own), dtype=bool), np.zeros(len(extra), dtype=bool)])
    # the cost of ordered work stands on the line that billed it; credits and corrections have none
    cost = np.where(plain | work, lines.cost[about], 0.0)
    return pa.table(
        {
            "line_id": pa.concat_arrays([line_id(chunk, own), extra_id(chunk, rest)]),
            "client_id": client_id(chunk.clients.number[chunk.orders.row[order]]),
            "service_id": words(lines.service[about], service_ids()),
            "issued_on": dates(chunk.orders.day[order]),
            "quantity": quantity,
            "unit_price": price,
            "invoice_id": _invoice_id(chunk, order),
            "amount": _amount(quantity, price),
            "cost": cost,
            "corrects_line_id": blank(line_or_credit(chunk, about, plain), plain | work),
            "corrects_entry_id": blank(entry_id(chunk, about, np.zeros_like(about)), ~work),
        }
    )


def line_or_credit(chunk: Chunk, about: Ints, plain: np.ndarray) -> pa.Array:
    """The id that a credit or correction names: the line, or the second credit it takes back."""
    named = line_id(chunk, about)
    extra = chunk.extra
    reverses = np.concatenate([np.zeros(plain.sum(), dtype=bool), extra.kind == LETTERS.index("V")])
    order = chunk.lines.order[about]
    number, day = chunk.clients.number[chunk.orders.row[order]], chunk.orders.day[order]
    second = ids("D", (number, 7), (day, 5), (chunk.lines.service[about], 2))
    return pc.if_else(pa.array(reverses), second, named)


def _amount(quantity: np.ndarray, price: np.ndarray) -> np.ndarray:
    return np.round(quantity * price, 2)


def invoices_table(world: World, chunk: Chunk) -> pa.Table:
    """One invoice an order; ``paid_on`` is empty until it has come."""
    orders, invoices, billed, extra = chunk.orders, chunk.invoices, chunk.billed, chunk.extra
    own = billed.on_invoice
    cents = np.zeros(len(orders), dtype=np.int64)
    amounts = _amount(billed.quantity[own], billed.unit_price[own])
    np.add.at(cents, chunk.lines.order[own], np.rint(amounts * 100).astype(np.int64))
    more = _amount(extra.quantity, extra.unit_price)
    np.add.at(cents, extra.order, np.rint(more * 100).astype(np.int64))
    unpaid = invoices.never | (invoices.paid > world.last)
    return pa.table(
        {
            "invoice_id": _invoice_id(chunk, np.arange(len(orders))),
            "client_id": client_id(chunk.clients.number[orders.row]),
            "issued_on": dates(orders.day),
            "amount": cents / 100.0,
            "due_on": dates(invoices.due),
            "paid_on": dates(invoices.paid, unpaid),
            "disputed": pa.array(invoices.disputed),
        }
    )


def work_table(world: World, chunk: Chunk) -> pa.Table:
    """Entries known by the last day."""
    entries = chunk.entries
    seen = np.nonzero(entries.known <= world.last)[0]
    line = entries.line[seen]
    order = chunk.lines.order[line]
    return pa.table(
        {
            "entry_id": entry_id(chunk, line, entries.part[seen]),
            "client_id": client_id(chunk.clients.number[chunk.orders.row[order]]),
            "service_id": words(chunk.lines.service[line], service_ids()),
            "worked_on": dates(entries.worked[seen]),
            "quantity": entries.quantity[seen],
            "cost": entries.cost[seen],
            "billable": pa.array(entries.billable[seen]),
            "line_id": blank(line_id(chunk, line), ~entries.linked[seen]),
            "known_at": dates(entries.known[seen]),
        }
    )


def client_rates_table(chunk: Chunk) -> pa.Table:
    """Agreed prices by client and service."""
    rows = chunk.rates
    return pa.table(
        {
            "service_id": words(rows.service, service_ids()),
            "client_id": client_id(chunk.clients.number[rows.row]),
            "valid_from": dates(rows.valid_from),
            "unit_price": rows.price,
            "valid_to": dates(rows.valid_to),
        }
    )


def list_rates_table(world: World) -> pa.Table:
    """The price list of each month, for everyone: ``client_id`` is empty."""
    months = world.calendar.month[world.last] + 1
    service, month = np.nonzero(np.ones((COUNT, months), dtype=bool))
    start = world.calendar.month_start
    return pa.table(
        {
            "service_id": words(service, service_ids()),
            "client_id": pa.nulls(len(service), pa.string()),
            "valid_from": dates(start[month]),
            "unit_price": world.catalogue.listed[service, month],
            "valid_to": dates(start[month + 1] - 1),
        }
    )


def services_table() -> pa.Table:
    """The catalogue at the opening; later prices stand in ``rates``."""
    return pa.table(
        {
            "service_id": service_ids(),
            "name": [row[0] for row in SERVICES],
            "category": [row[1] for row in SERVICES],
            "list_price": [row[2] for row in SERVICES],
            "unit_cost": [row[3] for row in SERVICES],
        }
    )


def quotes_table(world: World, chunk: Chunk) -> pa.Table:
    """Quotes; ``won`` and ``decided_on`` are empty until the answer has come."""
    quotes = chunk.quotes
    waiting = quotes.open_for_ever | (quotes.decided > world.last)
    number = chunk.clients.number[quotes.row]
    return pa.table(
        {
            "quote_id": ids("Q", (number, 7), (quotes.day, 5)),
            "service_id": words(quotes.service, service_ids()),
            "quoted_on": dates(quotes.day),
            "quoted_price": quotes.price,
            "won": pa.array(quotes.won, mask=waiting),
            "client_id": client_id(number),
            "quantity": quotes.quantity,
            "unit_cost": world.catalogue.unit_cost[quotes.service],
            "decided_on": dates(quotes.decided, waiting),
        }
    )


def outcomes_table(world: World, chunk: Chunk) -> pa.Table:
    """Answers to a survey (outcome ``nps``, 0 to 10), asked of some clients each quarter."""
    c, lived, days = chunk.clients, chunk.lives, world.calendar
    quarters = np.arange(days.month[world.last] // 3 + 1)
    cells = (c.number[:, None], quarters[None, :])
    day = days.month_start[quarters * 3] + world.streams.whole("nps.day", 85, *cells)
    asked = world.streams.uniform("nps", *cells) < 0.22
    asked &= (day > c.started[:, None]) & (day < lived.left[:, None]) & (day <= world.last)
    row, quarter = np.nonzero(asked)
    day = day[row, quarter]
    score = 8.3 - 2.2 * lived.paths.trouble[row, day]
    score = score + 1.3 * world.streams.normal("nps.score", c.number[row], quarter)
    return pa.table(
        {
            "client_id": client_id(c.number[row]),
            "observed_on": dates(day),
            "outcome": words(np.zeros_like(row), ["nps"]),
            "value": np.clip(np.rint(score), 0.0, 10.0),
        }
    )


def spend_table(world: World) -> pa.Table:
    """Weekly spend by channel, named by the week's Monday, known on its Sunday."""
    market = marketing(world.streams, world.calendar, world.clients, world.last)
    weeks = len(market.monday)
    channel = np.repeat(np.arange(len(CHANNELS)), weeks)
    monday = np.tile(market.monday, len(CHANNELS))
    return pa.table(
        {
            "channel": words(channel, [channel.name for channel in CHANNELS]),
            "spent_on": dates(monday),
            "amount": market.spend.ravel(),
            "known_at": dates(monday + 6),
        }
    )


def series_table(world: World) -> pa.Table:
    """Daily measures, and the weekly outcome and control of the marketing, known on Sundays."""
    daily = measures(world.streams, world.calendar, world.last)
    market = marketing(world.streams, world.calendar, world.clients, world.last)
    names = [*(row[0] for row in SERIES), OUTCOME, CONTROL]
    days = daily.values.shape[1]
    code = np.repeat(np.arange(len(names)), [days] * len(SERIES) + [len(market.monday)] * 2)
    day = np.concatenate([np.tile(np.arange(days), len(SERIES)), market.monday, market.monday])
    known = np.where(code < len(SERIES), day, day + 6)
    micros = unix_days(day) * 86_400_000_000
    return pa.table(
        {
            "series_id": words(code, names),
            "observed_at": pa.array(micros).cast(pa.timestamp("us")),
            "value": np.concatenate([daily.values.ravel(), market.outcome, market.index]),
            "known_at": dates(known),
        }
    )
