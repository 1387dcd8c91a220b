"""Work entries of the sample firm: what was done for each line, and what nobody billed.

Lines are billed when ordered, the work follows within days, so that the line of an entry is known
when the entry is. Look-alikes of unbilled work: goodwill (``billable`` is false), and entries whose
hours are in their neighbour's line though they name none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.billing import Lines, Orders
from warehouse.sources.sample.catalogue import Catalogue
from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.mistakes import UNBILLED, Billed
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

GOODWILL = 9  # the last digit of a goodwill entry's id


@dataclass(frozen=True)
class Entries:
    """Entries of a chunk. ``line``: index of the line the work is for; ``part``: 0, 1 or GOODWILL;
    ``linked``: whether the entry names that line; ``known``: day it was written down."""

    line: Ints
    part: Ints
    worked: Ints
    known: Ints
    quantity: Floats
    cost: Floats
    billable: Bools
    linked: Bools

    def __len__(self) -> int:
        return len(self.line)


def entries(
    streams: Streams,
    catalogue: Catalogue,
    calendar: Calendar,
    c: Clients,
    o: Orders,
    ordered: Lines,
    billed: Billed,
) -> Entries:
    """Entries of all lines with labour: one or two parts, together the line's units and cost."""
    number, day = c.number[o.row[ordered.order]], o.day[ordered.order]
    key = (number, day, ordered.service)
    unbilled = billed.fault == UNBILLED
    labour = (catalogue.labour[ordered.service] > 0) | unbilled
    two = (
        (streams.uniform("work.parts", *key) < 0.2) & ~unbilled & (ordered.quantity >= 1.0) & labour
    )
    share = np.where(two, 0.3 + 0.4 * streams.uniform("work.share", *key), 1.0)
    first = np.where(two, np.maximum(np.round(ordered.quantity * share, 1), 0.1), ordered.quantity)
    first_cost = np.round(ordered.cost * first / ordered.quantity, 2)
    goodwill = streams.uniform("work.goodwill", *key) < 0.02
    one, both, free = np.nonzero(labour)[0], np.nonzero(two)[0], np.nonzero(goodwill)[0]
    forgotten_link = streams.uniform("work.link", *key) < 0.008
    gift = np.round(0.5 + 2.5 * streams.uniform("work.gift", *key), 1)
    gift_cost = np.round(gift * catalogue.unit_cost[ordered.service], 2)

    line = np.concatenate([one, both, free])
    part = np.repeat([0, 1, GOODWILL], [len(one), len(both), len(free)])
    quantity = np.concatenate(
        [first[one], np.round(ordered.quantity[both] - first[both], 1), gift[free]]
    )
    cost = np.concatenate(
        [first_cost[one], np.round(ordered.cost[both] - first_cost[both], 2), gift_cost[free]]
    )
    linked = np.concatenate(
        [~unbilled[one], ~forgotten_link[both], np.zeros(len(free), dtype=bool)]
    )
    lag = streams.whole("work.lag", 9, number[line], day[line], ordered.service[line], part)
    worked = calendar.next_open[np.minimum(day[line] + lag, calendar.length - 1)]
    late = streams.uniform("work.late", number[line], day[line], ordered.service[line], part)
    known = worked + np.where(late < 0.02, 1 + (late / 0.02 * 5).astype(np.int64), 0)
    return Entries(line, part, worked, known, quantity, cost, part != GOODWILL, linked)
