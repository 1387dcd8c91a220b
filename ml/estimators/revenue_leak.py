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
from ml.estimators.leak_frames import CORRECTS_ENTRY, coded, plain_lines, plain_rates, plain_work
from ml.estimators.leak_prices import PriceView, contracted, price_view
from ml.estimators.leak_ranker import PriceRanker
from ml.estimators.leak_work import BillingHabits, fit_billing, work_price, work_view

KINDS = ("none", "unbilled", "underbilled", "zero_price", "double_credit")
_NONE, _UNBILLED, _UNDERBILLED, _ZERO, _DOUBLE = range(5)
_LINE_STATE = ["line_id", "client_id", "service_id", "invoice_id", "day", "quantity", "unit_price"]


class LeakDetector:
    """Finds revenue leaks in invoice lines and work entries, beside their rates.

    ``memory`` bounds how many of the latest fitted lines are kept, so that a few lines can be
    scored alone. ``least_gap`` is the smallest shortfall (share of the expected price) and
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
        codes = coded(plain)
        sales = codes[codes["quantity"] > 0]
        agreed = contracted(sales, table)
        view = price_view(sales, agreed)
        self.ranker_ = PriceRanker.fit(sales, agreed, view.features, self.seed)
        self.credit_habits_ = fit_habits(codes)
        entries = None if work is None else plain_work(work)
        self.billing_habits_ = fit_billing(entries, plain)
        self.rates_ = table
        latest = plain.sort_values("day", kind="stable").tail(self.memory).sort_index()
        self.memory_ = latest[_LINE_STATE].reset_index(drop=True)
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

        Each is compared with all lines given and with those remembered from ``fit``. ``rates``
        left out are those fitted. Columns: item_kind (``line``, ``work_entry``), line_id or
        entry_id, item_id, client_id, score in [0, 1] (rank by it), amount (money short, 0 where
        nothing is wrong), reason (one of ``KINDS``), evidence (a dict, None where nothing is wrong
        or ``evidence`` is false) and corrected_by (the line that put it right, None while open).
        ``since`` leaves out items dated before it, which still serve for comparison.
        """
        self._require_fitted()
        given = plain_lines(lines)
        table = self.rates_ if rates is None else plain_rates(rates)
        context = self._with_memory(given)
        parts = [self._lines(context, len(given), table, evidence)]
        parts[0].insert(1, "line_id", lines["line_id"].to_numpy())
        if work is not None:
            entries = plain_work(work)
            parts.append(self._work(entries, context, table, evidence))
            parts[1].insert(1, "entry_id", work["entry_id"].to_numpy())
        if since is not None:
            first = pd.Timestamp(since).to_datetime64().astype("datetime64[D]").astype(np.int64)
            parts = [part[part["day"] >= first] for part in parts]
        if len(parts) == 2:
            parts[0] = parts[0].astype({"line_id": object})
            parts[1] = parts[1].astype({"entry_id": object})
        out = pd.concat(parts, ignore_index=True) if len(parts) == 2 else parts[0]
        return out.drop(columns="day").reset_index(drop=True)

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
        self.memory_.to_parquet(folder / "memory.parquet", index=False)
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
        detector.memory_ = pd.read_parquet(folder / "memory.parquet")
        rates = folder / "rates.parquet"
        detector.rates_ = pd.read_parquet(rates) if rates.exists() else None
        return detector

    def _require_fitted(self) -> None:
        if not hasattr(self, "memory_"):
            raise ValueError("LeakDetector is not fitted: call fit(lines, rates, work) first")

    def _with_memory(self, given: pd.DataFrame) -> pd.DataFrame:
        """The lines given, then the remembered ones of their clients and services."""
        kept = self.memory_
        near = kept["service_id"].isin(given["service_id"].unique())
        near |= kept["client_id"].isin(given["client_id"].unique())
        kept = kept[near]
        kept = kept[~kept["line_id"].isin(given["line_id"])]
        return given if kept.empty else pd.concat([given, kept], ignore_index=True)

    def _lines(
        self, context: pd.DataFrame, count: int, rates: pd.DataFrame | None, evidence: bool
    ) -> pd.DataFrame:
        codes = coded(context)
        score, amount = np.zeros(len(codes)), np.zeros(len(codes))
        kind = np.zeros(len(codes), dtype=np.int64)
        sale = np.nonzero(codes["quantity"].to_numpy() > 0)[0]
        sales = codes.iloc[sale]
        agreed = contracted(sales, rates)
        view = price_view(sales, agreed)
        kind[sale], amount[sale], score[sale] = self._judge_prices(sales, view)
        credit = credit_view(codes, self.credit_habits_)
        chance = double_probability(credit, self.credit_habits_)
        value = np.abs(codes["quantity"].to_numpy() * codes["unit_price"].to_numpy())[credit.at]
        double = chance >= self.least_chance
        kind[credit.at] = np.where(double, _DOUBLE, _NONE)
        score[credit.at] = chance
        amount[credit.at] = np.where(double, value, 0.0)
        found: list[dict[str, Any] | None] = [None] * len(codes)
        if evidence:
            price_evidence(found, sale[kind[sale] != _NONE], sale, sales, view, agreed, rates)
            credit_evidence(found, codes, credit, double)
        return pd.DataFrame(
            {
                "item_kind": "line",
                "item_id": codes["line_id"].to_numpy()[:count],
                "client_id": codes["client_id"].to_numpy()[:count],
                "score": score[:count],
                "amount": np.round(amount[:count], 2),
                "reason": np.array(KINDS, dtype=object)[kind[:count]],
                "evidence": pd.Series(found[:count], dtype=object),
                "corrected_by": corrections(codes, kind == _DOUBLE)[:count],
                "day": codes["day"].to_numpy()[:count],
            }
        )

    def _judge_prices(
        self, sales: pd.DataFrame, view: PriceView
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        price = sales["unit_price"].to_numpy()
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
        amount = np.where(kind > 0, short * sales["quantity"].to_numpy(), 0.0)
        # A line at its expected price may still rank, below every line that is short of it.
        return kind, amount, np.where(found, chance, np.minimum(chance, self.least_chance) * 0.1)

    def _work(
        self,
        entries: pd.DataFrame,
        context: pd.DataFrame,
        rates: pd.DataFrame | None,
        evidence: bool,
    ) -> pd.DataFrame:
        last = [frame["day"].max() for frame in (entries, context) if len(frame)]
        view = work_view(entries, context, self.billing_habits_, int(max(last, default=0)))
        expected, source = work_price(entries, context, rates)
        amount = np.nan_to_num(expected) * entries["quantity"].to_numpy()
        suspect = view.score > 0
        found: list[dict[str, Any] | None] = [None] * len(entries)
        if evidence:
            work_evidence(found, entries, context, view, expected, source)
        named = context.dropna(subset=[CORRECTS_ENTRY]).drop_duplicates(CORRECTS_ENTRY)
        by = entries["entry_id"].map(named.set_index(CORRECTS_ENTRY)["line_id"])
        return pd.DataFrame(
            {
                "item_kind": "work_entry",
                "item_id": entries["entry_id"],
                "client_id": entries["client_id"],
                "score": view.score,
                "amount": np.round(np.where(suspect, amount, 0.0), 2),
                "reason": np.where(suspect, "unbilled", "none").astype(object),
                "evidence": pd.Series(found, dtype=object),
                "corrected_by": by.astype(object).where(by.notna(), None),
                "day": entries["day"],
            }
        )
