"""Contracted prices: the client's own rate of the day, else everyone's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.estimators.leak_frames import days_of
from ml.estimators.leak_groups import Names, packed

_EVER = 1 << 30


@dataclass(frozen=True)
class Rates:
    """Contracted prices of lines: the price (NaN: none) and the row of ``rates`` it is from."""

    price: np.ndarray
    row: np.ndarray
    own: np.ndarray

    def take(self, at: np.ndarray) -> Rates:
        """Some of the lines."""
        return Rates(self.price[at], self.row[at], self.own[at])


@dataclass(frozen=True)
class RateBook:
    """Rates in the codes of the lines: ``client`` -1 is everyone; days, the last one included."""

    client: np.ndarray
    service: np.ndarray
    first: np.ndarray
    last: np.ndarray
    price: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, rates: pd.DataFrame | None, names: Names) -> RateBook:
        """``rates`` (see ``plain_rates``) that could hold for a client and service named."""
        if rates is None or rates.empty:
            none = np.zeros(0, dtype=np.int64)
            return cls(none, none, none, none, np.zeros(0), none)
        client, service = names.codes(rates["client_id"], rates["service_id"])
        everyone = rates["client_id"].isna().to_numpy()
        first = _days(rates["valid_from"], -_EVER)
        use = np.nonzero((service >= 0) & (everyone | (client >= 0)))[0]
        use = use[np.argsort(first[use], kind="stable")]
        return cls(
            np.where(everyone, -1, client)[use],
            service[use],
            first[use],
            _days(rates["valid_to"], _EVER)[use],
            rates["unit_price"].to_numpy(dtype=np.float64)[use],
            use,
        )

    def contracted(self, client: np.ndarray, service: np.ndarray, day: np.ndarray) -> Rates:
        """The rate valid on each line's day; arrays of shape (lines,)."""
        own = self._latest(self.client >= 0, client, service, day)
        listed = self._latest(self.client < 0, np.full(len(day), -1), service, day)
        at = np.where(own >= 0, own, listed)
        some = at >= 0
        price, row = np.full(len(at), np.nan), np.full(len(at), -1)
        price[some], row[some] = self.price[at[some]], self.row[at[some]]
        return Rates(price, row, (own >= 0) & np.isfinite(price))

    def _latest(
        self, chosen: np.ndarray, client: np.ndarray, service: np.ndarray, day: np.ndarray
    ) -> np.ndarray:
        """Where in this book each line's newest rate stands, -1 where none is valid."""
        out = np.full(len(day), -1)
        rate = np.nonzero(chosen)[0]
        if not len(rate) or not len(day):
            return out
        low, high = int(day.min()), int(day.max())
        # From before the first line is from the first line on; the order by day stays.
        since = np.clip(self.first[rate], low, high + 1)
        key = packed(
            np.r_[self.client[rate], client],
            np.r_[self.service[rate], service],
        )
        wide = high - low + 2
        if int(key.max()) > (1 << 62) // wide:
            key = pd.factorize(key)[0]
        theirs = key[: len(rate)] * wide + (since - low)
        order = np.argsort(theirs, kind="stable")
        mine = key[len(rate) :] * wide + (day - low)
        at = np.searchsorted(theirs[order], mine, side="right") - 1
        found = rate[order[np.maximum(at, 0)]]
        valid = (at >= 0) & (key[order[np.maximum(at, 0)]] == key[len(rate) :])
        valid &= self.last[found] >= day
        out[valid] = found[valid]
        return out


def _days(column: pd.Series, missing: int) -> np.ndarray:
    known = column.notna().to_numpy()
    days = np.full(len(column), missing, dtype=np.int64)
    days[known] = days_of(column[known])
    return days
