"""Lines as numbers, and rows sorted by group and day: what every comparison is made from.

Ids are turned into integer codes once. A grouping is one sort of 64-bit keys, which then serves all
its look-ups; nothing else of the size of the lines is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Codes:
    """Lines as arrays of shape (rows,): integer codes, ``day`` since 1970, quantity and price."""

    client: np.ndarray
    service: np.ndarray
    invoice: np.ndarray
    day: np.ndarray
    quantity: np.ndarray
    price: np.ndarray

    def __len__(self) -> int:
        return len(self.day)

    def take(self, at: np.ndarray) -> Codes:
        """Some of the rows, by position or mask."""
        return Codes(
            self.client[at],
            self.service[at],
            self.invoice[at],
            self.day[at],
            self.quantity[at],
            self.price[at],
        )


@dataclass(frozen=True)
class Names:
    """The ids behind the codes of clients and services."""

    client: pd.Index
    service: pd.Index

    def codes(self, clients: pd.Series, services: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Codes of other rows' ids, -1 where an id has none."""
        return (
            self.client.get_indexer(pd.Index(clients)),
            self.service.get_indexer(pd.Index(services)),
        )

    def with_those_of(self, other: pd.DataFrame) -> Names:
        """These, then the ids of ``other`` that have no code yet; codes given out stay."""
        return Names(
            self.client.append(pd.Index(other["client_id"].unique()).difference(self.client)),
            self.service.append(pd.Index(other["service_id"].unique()).difference(self.service)),
        )


def coded(lines: pd.DataFrame) -> tuple[Codes, Names]:
    """The lines (see ``plain_lines``) as numbers.

    A line without an invoice counts as on the client's invoice of that day.
    """
    client, clients = pd.factorize(lines["client_id"])
    service, services = pd.factorize(lines["service_id"])
    invoice = pd.factorize(lines["invoice_id"])[0]
    day = lines["day"].to_numpy()
    unnamed = invoice < 0
    if unnamed.any():
        own_day = group_codes(client[unnamed], day[unnamed])
        invoice[unnamed] = own_day + invoice.max(initial=-1) + 1
    codes = Codes(
        client.astype(np.int32),
        service.astype(np.int32),
        invoice.astype(np.int32),
        day,
        lines["quantity"].to_numpy(),
        lines["unit_price"].to_numpy(),
    )
    return codes, Names(pd.Index(clients), pd.Index(services))


def group_codes(*parts: np.ndarray) -> np.ndarray:
    """One int64 code from 0 for each distinct combination of the integer arrays, shape (rows,)."""
    return pd.factorize(packed(*parts))[0].astype(np.int64)


def packed(*parts: np.ndarray) -> np.ndarray:
    """One int64 a row, equal where all the integer arrays are; ordered like them, unless they span
    more than 63 bits together."""
    code = np.zeros(len(parts[0]), dtype=np.int64)
    used = 0
    for part in parts:
        wide = part.astype(np.int64)
        if len(wide):
            wide -= wide.min()
        if used + _bits(wide) > 63:
            code, wide = pd.factorize(code)[0], pd.factorize(wide)[0]
            used = _bits(code)
        bits = _bits(wide)
        code = (code << bits) | wide
        used += bits
    return code


def _bits(codes: np.ndarray) -> int:
    return int(codes.max()).bit_length() if len(codes) else 0


class Groups:
    """Rows sorted by group, then day, then as given.

    ``order`` are the rows so sorted, ``place`` says where each row stands, ``starts`` where each
    group begins, with the number of rows at its end.
    """

    def __init__(self, group: np.ndarray, day: np.ndarray) -> None:
        rows = len(group)
        days = day.astype(np.int64) - (int(day.min()) if rows else 0)
        row_bits, day_bits = max(rows - 1, 0).bit_length(), _bits(days)
        if _bits(group) + day_bits + row_bits > 63:
            group = pd.factorize(group)[0]
        if _bits(group) + day_bits + row_bits <= 63:
            # one key that holds the row itself sorts several times faster than an argsort
            key = (group.astype(np.int64) << (day_bits + row_bits)) | (days << row_bits)
            key |= np.arange(rows)
            key.sort()
            self.order = (key & ((1 << row_bits) - 1)).astype(np.int32)
            key >>= day_bits + row_bits
        else:
            self.order = np.lexsort((day, group)).astype(np.int32)
            key = group[self.order]
        fresh = np.nonzero(key[1:] != key[:-1])[0] + 1
        self.starts = np.r_[0, fresh, rows] if rows else np.zeros(1, dtype=np.int64)
        self.place = np.empty(rows, dtype=np.int32)
        self.place[self.order] = np.arange(rows, dtype=np.int32)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Which group, counted from 0, each of the rows is in."""
        return np.searchsorted(self.starts, self.place[rows], side="right") - 1

    def sizes(self) -> np.ndarray:
        """How many rows each group has."""
        return np.diff(self.starts)

    def number_sorted(self) -> np.ndarray:
        """The group of each row in sorted order, int32."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), self.sizes())


def distinct(groups: Groups, value: np.ndarray) -> np.ndarray:
    """How many distinct values (integer codes) each group has, shape (groups,)."""
    pairs = packed(groups.number_sorted(), value[groups.order])
    pairs.sort()
    fresh = np.r_[True, pairs[1:] != pairs[:-1]] if len(pairs) else np.zeros(0, dtype=bool)
    return np.bincount((pairs >> _bits(value - value.min()))[fresh]) if len(pairs) else pairs


def others_mean(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The mean of ``value`` over the other rows of the group, NaN where there is none.

    NaN values take no part.
    """
    known = np.isfinite(value)
    filled = np.where(known, value, 0.0)
    size = int(group.max()) + 1 if len(group) else 0
    total = np.bincount(group, weights=filled, minlength=size)[group] - filled
    count = np.bincount(group, weights=known, minlength=size)[group] - known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
