"""Which work was not billed, billed too low, or credited twice: rules for amount and evidence, a
learned ranking for the order. No labels, ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from ml.estimators.leak_credits import CreditHabits, credit_view, double_probability, fit_habits
from ml.estimators.leak_evidence import corrections, credit_evidence, price_evidence, work_evidence
from ml.estimators.leak_frames import (
    CORRECTS_ENTRY,
    days_of,
    places,
    plain_lines,
    plain_rates,
    plain_work,
)
from ml.estimators.leak_groups import Codes, Names, coded
from ml.estimators.leak_memory import LeakMemory
from ml.estimators.leak_prices import PriceBook, PriceView
from ml.estimators.leak_ranker import Examples, PriceRanker
from ml.estimators.leak_rates import RateBook
from ml.estimators.leak_work import BillingHabits, fit_billing, work_price, work_view

KINDS = ("none", "unbilled", "underbilled", "zero_price", "double_credit")
_NONE, _UNBILLED, _UNDERBILLED, _ZERO, _DOUBLE = range(5)


class LeakDetector:
    """Finds revenue leaks in invoice lines and work entries, beside their rates.

    ``memory`` bounds how many of the latest fitted lines, and work entries, are kept, so that a few
    can be scored alone. ``least_gap`` is the smallest shortfall (share of the expected price) and
    ``least_chance`` the smallest chance that make a finding. Everything random
    is drawn from ``seed``.
    """

    def __init__(
        self,
        memory: int = 200_000,
        least_gap: float = 0.015,
        least_chance: float = 0.005,
        seed: int = 0,
    ) -> None:
        self.memory = memory
        self.least_gap = least_gap
        self.least_chance = least_chance
        self.seed = seed

    def fit(
        self,
        lines: pd.DataFrame,
        rates: pd.DataFrame | None = None,
        work: pd.DataFrame | None = None,
    ) -> Self:
        """Learn the firm's habits; no column says what is a leak.

        ``lines``: line_id, client_id, service_id, issued_on, quantity (negative: a credit),
        unit_price, optionally invoice_id. ``rates``: service_id, valid_from, unit_price, optionally
        client_id (missing: everyone) and valid_to (its last day). ``work``: entry_id, client_id,
        service_id, worked_on, quantity, optionally billable and line_id. Other columns are ignored.
        Raises ValueError naming a missing column or one with missing values.
        """
        plain = plain_lines(lines)
        table = plain_rates(rates)
        codes, names = coded(plain)
        self.credit_habits_ = fit_habits(codes)
        entries = None if work is None else plain_work(work)
        self.billing_habits_ = fit_billing(entries, plain)
        # The sorted lines are let go before the booster learns.
        examples = Examples.of(_book(codes, RateBook.of(table, names)), self.seed)
        self.ranker_ = PriceRanker.fit(examples, self.seed)
        self.rates_ = table
        self.memory_ = LeakMemory.of(plain, entries, self.memory)
        return self

    def score(
        self,
        lines: pd.DataFrame,
        rates: pd.DataFrame | None = None,
        work: pd.DataFrame | None = None,
        evidence: bool = True,
        since: Any = None,
    ) -> pd.DataFrame:
        """One row for each line, then one for each work entry, in the order given.

        Each is compared with all items given and with those remembered from ``fit``. ``rates``
        left out are those fitted. Columns: item_kind (``line``, ``work_entry``), line_id or
        entry_id, item_id, client_id, score in [0, 1] (rank by it), amount (money short, 0 where
        nothing is wrong), reason (one of ``KINDS``), evidence (a dict, None where nothing is wrong
        or ``evidence`` is false) and corrected_by (the line that put it right, None while open).
        ``since`` leaves out items dated before it, which still serve for comparison.
        """
        self._require_fitted()
        given = plain_lines(lines)
        table = self.rates_ if rates is None else plain_rates(rates)
        entries = None if work is None else plain_work(work)
        context, where = self.memory_.beside_lines(given, entries)
        codes, names = coded(context)
        first = None if since is None else int(days_of(pd.Series([since]))[0])
        asked = _since(given["day"].to_numpy(), first)
        part = self._lines(context, codes, names, where[asked], table, evidence)
        part.insert(1, "line_id", lines["line_id"].iloc[asked].to_numpy())
        if work is None or entries is None:
            return part
        asked = _since(entries["day"].to_numpy(), first)
        entries, where = self.memory_.beside_work(entries)
        other = self._work(entries, context, codes, names, where[asked], table, evidence)
        other.insert(1, "entry_id", work["entry_id"].iloc[asked].to_numpy())
        both = {"line_id": part, "entry_id": other}
        if any(frame[name].dtype != "str" for name, frame in both.items()):
            # numbers would turn into floats beside the missing ones of the other kind
            part, other = (frame.astype({name: object}) for name, frame in both.items())
        return pd.concat([part, other], ignore_index=True)

    def save(self, folder: Path) -> None:
        """Write JSON, LightGBM text and Parquet into ``folder``."""
        self._require_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "options": {
                "memory": self.memory, "least_gap": self.least_gap,
                "least_chance": self.least_chance, "seed": self.seed,
            },
            "credits": self.credit_habits_.to_dict(),
            "billing": self.billing_habits_.to_dict(),
            "ranker": None if self.ranker_ is None else self.ranker_.save(folder),
        }  # fmt: skip
        (folder / "leaks.json").write_text(json.dumps(state, indent=1, sort_keys=True))
        self.memory_.save(folder)
        if self.rates_ is not None:
            self.rates_.to_parquet(folder / "rates.parquet", index=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The detector that ``save`` wrote; scores are the same bit for bit."""
        state = json.loads((folder / "leaks.json").read_text())
        detector = cls(**state["options"])
        detector.credit_habits_ = CreditHabits(**state["credits"])
        detector.billing_habits_ = BillingHabits(**state["billing"])
        ranker = state["ranker"]
        detector.ranker_ = None if ranker is None else PriceRanker.load(folder, ranker)
        detector.memory_ = LeakMemory.load(folder)
        rates = folder / "rates.parquet"
        detector.rates_ = pd.read_parquet(rates) if rates.exists() else None
        return detector

    def _require_fitted(self) -> None:
        if not hasattr(self, "memory_"):
            raise ValueError("LeakDetector is not fitted: call fit(lines, rates, work) first")

    def _lines(
        self,
        context: pd.DataFrame,
        codes: Codes,
        names: Names,
        asked: np.ndarray,
        rates: pd.DataFrame | None,
        evidence: bool,
    ) -> pd.DataFrame:
        score, amount = np.zeros(len(asked)), np.zeros(len(asked))
        kind = np.zeros(len(asked), dtype=np.int8)
        found: list[dict[str, Any] | None] = [None] * (len(asked) if evidence else 0)
        # where each line asked for stands among the rows of the answer
        answer = np.full(len(codes), -1, dtype=np.int32)
        answer[asked] = np.arange(len(asked), dtype=np.int32)

        sale = np.nonzero(codes.quantity > 0)[0]
        sales = codes.take(sale)
        judged = np.nonzero(answer[sale] >= 0)[0]
        book = PriceBook(sales, RateBook.of(rates, names))
        for part, view in book.views(judged):
            near = sales.take(judged[part])
            at = answer[sale[judged[part]]]
            kind[at], amount[at], score[at] = self._judge_prices(near, view)
            if evidence:
                flagged = np.nonzero(kind[at] != _NONE)[0]
                price_evidence(found, at[flagged], flagged, near, view, rates)
        del book, sales

        credit = credit_view(codes, self.credit_habits_)
        chance = double_probability(credit, self.credit_habits_)
        double = chance >= self.least_chance
        ours = np.nonzero(answer[credit.at] >= 0)[0]
        at = answer[credit.at[ours]]
        value = np.abs(codes.quantity[credit.at[ours]] * codes.price[credit.at[ours]])
        kind[at] = np.where(double[ours], _DOUBLE, _NONE)
        score[at] = chance[ours]
        amount[at] = np.where(double[ours], value, 0.0)
        if evidence:
            twice = double[ours]
            credit_evidence(found, at[twice], ours[twice], codes, context["line_id"], credit)
        return pd.DataFrame(
            {
                "item_kind": "line",
                "item_id": context["line_id"].iloc[asked].array,
                "client_id": context["client_id"].iloc[asked].array,
                "score": score,
                "amount": np.round(amount, 2),
                "reason": _kinds(kind),
                "evidence": _evidence(found, len(asked)),
                "corrected_by": _objects(corrections(context, codes, credit.at[double], asked)),
            }
        )

    def _judge_prices(
        self, lines: Codes, view: PriceView
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        price = lines.price
        short = np.where(np.isfinite(view.expected), view.expected - price, 0.0)
        zero = (price <= 0) & (short > 0)
        low = (price > 0) & (short > self.least_gap * np.nan_to_num(view.expected))
        if self.ranker_ is not None:
            chance = self.ranker_.probability(view.features)
        else:  # too few lines to learn from: the shortfall itself is the order
            with np.errstate(divide="ignore", invalid="ignore"):
                chance = np.where(short > 0, 0.5 * short / view.expected, 0.0)
        chance = np.where(zero, view.zero_is_wrong, chance)
        found = (chance >= self.least_chance) & (zero | low)
        kind = np.where(found & zero, _ZERO, np.where(found, _UNDERBILLED, _NONE))
        amount = np.where(kind > 0, short * lines.quantity, 0.0)
        # A line at its expected price may still rank, below every line that is short of it.
        return kind, amount, np.where(found, chance, np.minimum(chance, self.least_chance) * 0.1)

    def _work(
        self,
        entries: pd.DataFrame,
        context: pd.DataFrame,
        codes: Codes,
        names: Names,
        asked: np.ndarray,
        rates: pd.DataFrame | None,
        evidence: bool,
    ) -> pd.DataFrame:
        day = entries["day"].to_numpy()
        known = (day, codes.day, self.memory_.lines["day"].to_numpy())
        last = [int(days.max()) for days in known if len(days)]
        names = names.with_those_of(entries)
        client, service = names.codes(entries["client_id"], entries["service_id"])
        ids = context["line_id"]
        view = work_view(
            entries, client, service, codes, ids, self.billing_habits_, max(last, default=0)
        )
        at = np.nonzero(view.score[asked] > 0)[0]
        rows = asked[at]
        book = RateBook.of(rates, names)
        prices = work_price(client[rows], service[rows], day[rows], codes, book)
        amount = np.zeros(len(asked))
        amount[at] = np.nan_to_num(prices[0]) * entries["quantity"].to_numpy()[rows]
        kind = np.zeros(len(asked), dtype=np.int8)
        kind[at] = _UNBILLED
        found: list[dict[str, Any] | None] = [None] * (len(asked) if evidence else 0)
        if evidence:
            work_evidence(found, at, rows, entries, ids, view, prices)
        put_right = np.full(len(asked), None, dtype=object)
        if CORRECTS_ENTRY in context and context[CORRECTS_ENTRY].notna().any():
            named = context.dropna(subset=[CORRECTS_ENTRY]).drop_duplicates(CORRECTS_ENTRY)
            by = places(entries["entry_id"].iloc[asked], pd.Index(named[CORRECTS_ENTRY]))
            at = np.nonzero(by >= 0)[0]
            put_right[at] = named["line_id"].iloc[by[at]].to_numpy(dtype=object)
        return pd.DataFrame(
            {
                "item_kind": "work_entry",
                "item_id": entries["entry_id"].iloc[asked].array,
                "client_id": entries["client_id"].iloc[asked].array,
                "score": view.score[asked],
                "amount": np.round(amount, 2),
                "reason": _kinds(kind),
                "evidence": _evidence(found, len(asked)),
                "corrected_by": _objects(put_right),
            }
        )


def _book(lines: Codes, rates: RateBook) -> PriceBook:
    return PriceBook(lines.take(np.nonzero(lines.quantity > 0)[0]), rates)


def _since(day: np.ndarray, first: int | None) -> np.ndarray:
    """Positions of the items dated since."""
    return np.arange(len(day)) if first is None else np.nonzero(day >= first)[0]


def _kinds(kind: np.ndarray) -> pd.Series:
    return pd.Series(list(KINDS), dtype="str").iloc[kind].reset_index(drop=True)


def _evidence(found: list[dict[str, Any] | None], rows: int) -> pd.Series:
    return pd.Series(found or [None] * rows, dtype=object)


def _objects(values: np.ndarray) -> pd.Series:
    return pd.Series(values, dtype=object)
