"""What is true of a sample firm, in the words of the models. Only tests use it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from warehouse.sources.sample import SampleFirm


class Oracle:
    """Answers from the planted truth of one firm (reads the truth once)."""

    def __init__(self, firm: SampleFirm) -> None:
        self.firm = firm

    @cached_property
    def truth(self) -> dict[str, pd.DataFrame]:
        """Truth tables by name."""
        return {name: table.to_pandas() for name, table in self.firm.truth().items()}

    def churn_probability(self, clients: Sequence[str], as_of: dt.date) -> np.ndarray:
        """True chance of no purchase in the 90 days after ``as_of`` (a month's end) by client."""
        rows = self.truth["churn"]
        known = rows[rows["as_of"] == as_of].set_index("client_id")["probability"]
        if known.empty:
            raise KeyError(f"the truth knows month ends from day 180 on, not {as_of}")
        return known.loc[list(clients)].to_numpy()

    def left_by(self, as_of: dt.date) -> set[str]:
        """Clients who have left by the end of a day."""
        rows = self.truth["leaves"]
        return set(rows.loc[rows["left_on"] <= as_of, "client_id"])

    def leaks(self, since: dt.date, until: dt.date) -> pd.DataFrame:
        """Leaks that happened in [since, until]; ``is_open``: not put right by ``until``."""
        rows = self.truth["leaks"]
        rows = rows[(rows["happened_on"] >= since) & (rows["happened_on"] <= until)].copy()
        rows["is_open"] = [day is None or pd.isna(day) or day > until for day in rows.corrected_on]
        return rows.reset_index(drop=True)

    def elasticity(self, service_id: str, segment: str) -> float:
        """True own-price elasticity of a service in a segment."""
        rows = self.truth["elasticities"].set_index(["service_id", "segment"])
        return float(rows.loc[(service_id, segment), "elasticity"])

    def win_probability(self, quote_ids: Sequence[str]) -> np.ndarray:
        """True chance to win of each quote."""
        return self.truth["quotes"].set_index("quote_id").loc[list(quote_ids)].to_numpy()[:, 0]

    def contributions(
        self, since: dt.date | None = None, until: dt.date | None = None
    ) -> dict[str, float]:
        """What each channel really brought, in the weeks that begin in [since, until]."""
        rows = self.truth["contributions"]
        if since is not None:
            rows = rows[rows["period"] >= since]
        if until is not None:
            rows = rows[rows["period"] <= until]
        return {
            str(name): float(total)
            for name, total in rows.groupby("channel").contribution.sum().items()
        }

    def response(self, split: Mapping[str, float], periods: int = 1) -> float:
        """Outcome of ``periods`` weeks of spending ``split`` (money a week) in the long run."""
        return periods * sum(self._effect(channel, amount) for channel, amount in split.items())

    def _effect(self, channel: str, amount: float) -> float:
        row = self.truth["channels"].set_index("channel").loc[channel]
        relative = amount / row["half"]
        shape = np.log1p(relative) if row["curve"] == "log" else -np.expm1(-relative)
        return float(row["top"] * shape)

    def optimal_split(self, total: float) -> dict[str, float]:
        """The weekly split of ``total`` that brings the most: all marginal effects are equal."""
        rows = self.truth["channels"]

        def spend_at(price: float) -> np.ndarray:
            steepest = rows["top"] / rows["half"] / price
            log = rows["half"] * np.maximum(steepest - 1.0, 0.0)
            exp = rows["half"] * np.log(np.maximum(steepest, 1.0))
            return np.where(rows["curve"] == "log", log, exp)

        low, high = 1e-12, float((rows["top"] / rows["half"]).max())
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if spend_at(middle).sum() > total else (low, middle)
        amounts = spend_at(low)
        amounts = amounts * total / amounts.sum()
        return dict(zip(rows["channel"], map(float, amounts), strict=True))

    def anomalies(self, subject_kind: str) -> pd.DataFrame:
        """Planted anomalies of series, clients or lines."""
        rows = self.truth["anomalies"]
        return rows[rows["subject_kind"] == subject_kind].reset_index(drop=True)
