"""Billing mistakes, planted anomalies, credits and corrections of the sample firm's lines.

Kinds of leak: ``unbilled`` (work without a line), ``underbilled`` (below the agreed price),
``zero_price``, ``double_credit`` (a credit given twice). Planted line anomalies: ``price_typo``
(ten times the price) and ``quantity_typo`` (ten times the quantity). Some of both are found by
the firm and put right on a later invoice of the client: the wrong line is taken back at its own
price and billed again at the right one, both lines naming it in ``corrects_line_id``; unbilled
work is billed by a line that names it in ``corrects_entry_id``. Honest look-alikes: small agreed
discounts on a line, and honest credits (``corrects_line_id`` names the line credited).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.billing import Lines, Orders
from warehouse.sources.sample.catalogue import FIXED_PRICE
from warehouse.sources.sample.clients import Clients
from warehouse.sources.sample.streams import Bools, Floats, Ints, Streams

NONE, UNBILLED, UNDERBILLED, ZERO_PRICE, PRICE_TYPO, QUANTITY_TYPO = range(6)
LEAK_NAMES = {UNBILLED: "unbilled", UNDERBILLED: "underbilled", ZERO_PRICE: "zero_price"}
TYPO_NAMES = {PRICE_TYPO: "price_typo", QUANTITY_TYPO: "quantity_typo"}
# What an extra line is, which is also the letter of its id.
CREDIT, SECOND_CREDIT, TAKEN_BACK, BILLED_AGAIN, CREDIT_REVERSED, WORK_BILLED = range(6)
LETTERS = "NDTRVU"
_CORRECTED = 0.45
_TYPO_CORRECTED = 0.75


@dataclass(frozen=True)
class Billed:
    """The lines as billed: what went wrong, quantity and price on the invoice."""

    fault: Ints
    quantity: Floats
    unit_price: Floats

    @property
    def on_invoice(self) -> Bools:
        """False for the lines that were never billed."""
        return self.fault != UNBILLED


@dataclass(frozen=True)
class Extra:
    """Credits and corrections. ``about``: index of the line concerned; ``order``: the later order
    on whose invoice it stands."""

    kind: Ints
    about: Ints
    order: Ints
    quantity: Floats
    unit_price: Floats

    def __len__(self) -> int:
        return len(self.kind)

    def pick(self, chosen: Bools | Ints) -> Extra:
        """Some of the rows."""
        return Extra(
            self.kind[chosen],
            self.about[chosen],
            self.order[chosen],
            self.quantity[chosen],
            self.unit_price[chosen],
        )


def bill(streams: Streams, c: Clients, o: Orders, ordered: Lines) -> Billed:
    """The lines with their mistakes. A first line is never left out, so every order is billed."""
    key = (c.number[o.row[ordered.order]], o.day[ordered.order], ordered.service)
    draw = streams.uniform("fault", *key)
    size = streams.uniform("fault.size", *key)
    fault = np.zeros(len(ordered), dtype=np.int64)
    bounds = [
        (UNDERBILLED, 0.0034),
        (ZERO_PRICE, 0.0050),
        (PRICE_TYPO, 0.0054),
        (QUANTITY_TYPO, 0.0058),
    ]
    for kind, bound in reversed(bounds):
        fault[draw < bound] = kind
    fixed = np.isin(ordered.service, FIXED_PRICE)
    fault[fixed & (fault == UNDERBILLED)] = NONE
    unbilled = (draw > 1 - 0.013) & (ordered.place > 0)
    fault[unbilled] = UNBILLED
    small = streams.uniform("discount", *key)
    discount = np.where(small < 0.015, 0.03 + 0.05 * (small / 0.015), 0.0)
    discount[(fault != NONE) | fixed] = 0.0
    factor = 1.0 - discount
    under = fault == UNDERBILLED
    factor[under] = 0.92 - 0.27 * size[under]
    factor[fault == ZERO_PRICE] = 0.0
    factor[fault == PRICE_TYPO] = 10.0
    quantity = ordered.quantity * np.where(fault == QUANTITY_TYPO, 10.0, 1.0)
    return Billed(fault, np.round(quantity, 1), np.round(ordered.price * factor, 2))


def extras(streams: Streams, c: Clients, o: Orders, ordered: Lines, billed: Billed) -> Extra:
    """All credits and corrections that fall on an order of the books."""
    credits = _credits(streams, c, o, ordered, billed)
    twice = _second_credits(streams, c, o, ordered, credits)
    reversed_ = _reversals(streams, c, o, ordered, twice)
    corrections = _corrections(streams, c, o, ordered, billed)
    return _join([credits, twice, reversed_, *corrections])


def _join(parts: list[Extra]) -> Extra:
    return Extra(
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.about for part in parts]),
        np.concatenate([part.order for part in parts]),
        np.concatenate([part.quantity for part in parts]),
        np.concatenate([part.unit_price for part in parts]),
    )


def _key(c: Clients, o: Orders, ordered: Lines, about: Ints) -> tuple[Ints, Ints, Ints]:
    order = ordered.order[about]
    return c.number[o.row[order]], o.day[order], ordered.service[about]


def _later(o: Orders, ordered: Lines, about: Ints, after: Ints) -> Ints:
    """The client's first order at least ``after`` days past the line's own, else -1."""
    order = ordered.order[about]
    return o.next_at(o.row[order], o.day[order] + after)


def _extra(kind: int, about: Ints, order: Ints, quantity: Floats, price: Floats) -> Extra:
    rows = Extra(np.full(len(about), kind), about, order, quantity, price)
    return rows.pick(order >= 0)


def _credits(streams: Streams, c: Clients, o: Orders, ordered: Lines, billed: Billed) -> Extra:
    """Honest credits: part or all of a line, mostly where there was trouble."""
    key = (c.number[o.row[ordered.order]], o.day[ordered.order], ordered.service)
    trouble = o.trouble[ordered.order]
    chance = 0.006 + 0.06 * -np.expm1(-trouble)
    about = np.nonzero((streams.uniform("credit", *key) < chance) & (billed.fault == NONE))[0]
    key = _key(c, o, ordered, about)
    share = np.where(
        streams.uniform("credit.whole", *key) < 0.4,
        1.0,
        0.2 + 0.5 * streams.uniform("credit.share", *key),
    )
    quantity = -np.maximum(np.round(billed.quantity[about] * share, 1), 0.1)
    order = _later(o, ordered, about, 7 + streams.whole("credit.lag", 14, *key))
    return _extra(CREDIT, about, order, quantity, billed.unit_price[about])


def _second_credits(
    streams: Streams, c: Clients, o: Orders, ordered: Lines, credits: Extra
) -> Extra:
    """A credit given again, by mistake, on a later invoice."""
    draw = streams.uniform("credit.twice", *_key(c, o, ordered, credits.about))
    rows = credits.pick(draw < 0.10)
    row, day = o.row[rows.order], o.day[rows.order]
    lag = 5 + streams.whole("credit.twice.lag", 20, c.number[row], day)
    order = o.next_at(row, day + lag)
    return _extra(SECOND_CREDIT, rows.about, order, rows.quantity, rows.unit_price)


def _reversals(streams: Streams, c: Clients, o: Orders, ordered: Lines, twice: Extra) -> Extra:
    """Second credits that the firm found and billed back."""
    key = _key(c, o, ordered, twice.about)
    rows = twice.pick(streams.uniform("credit.reversed", *key) < _CORRECTED)
    key = _key(c, o, ordered, rows.about)
    lag = 12 + streams.whole("credit.reversed.lag", 45, *key)
    order = o.next_at(o.row[rows.order], o.day[rows.order] + lag)
    return _extra(CREDIT_REVERSED, rows.about, order, -rows.quantity, rows.unit_price)


def _corrections(
    streams: Streams, c: Clients, o: Orders, ordered: Lines, billed: Billed
) -> list[Extra]:
    """Lines taken back and billed again, and work billed at last."""
    about = np.nonzero(billed.fault != NONE)[0]
    fault = billed.fault[about]
    key = _key(c, o, ordered, about)
    share = np.where(fault >= PRICE_TYPO, _TYPO_CORRECTED, _CORRECTED)
    found = streams.uniform("correction", *key) < share
    slow = np.where(fault >= PRICE_TYPO, 5, 14)
    width = np.where(fault >= PRICE_TYPO, 25, 60)
    lag = slow + (streams.uniform("correction.lag", *key) * width).astype(np.int64)
    order = np.where(found, _later(o, ordered, about, lag), -1)
    again = _extra(BILLED_AGAIN, about, order, ordered.quantity[about], ordered.price[about])
    back = _extra(TAKEN_BACK, about, order, -billed.quantity[about], billed.unit_price[about])
    unbilled = billed.fault[again.about] == UNBILLED
    work = again.pick(unbilled)
    work = Extra(
        np.full(len(work), WORK_BILLED), work.about, work.order, work.quantity, work.unit_price
    )
    return [
        again.pick(~unbilled),
        back.pick(billed.fault[back.about] != UNBILLED),
        work,
    ]
