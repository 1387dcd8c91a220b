"""Revenue leaks on real invoice lines with injected billing errors (retail_leaks_open)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ml.estimators.revenue_leak import LeakDetector
from ml.evaluation.result import Result

_NAME = "retail_leaks_open"
_PROTOCOL = (
    "fit and score on all 124,614 lines as on the last day (a line is compared with earlier and"
    " later ones, never with labels); no rates, no work entries; seed 0;"
)
_COLUMNS = {
    "invoice": "invoice_id",
    "invoice_date": "issued_on",
    "customer_id": "client_id",
    "item": "service_id",
    "price": "unit_price",
}
_PUBLISHED = {"underbilled": ".434", "unbilled": ".993", "duplicate_credit": ".579"}


def evaluate(data: Path) -> list[Result]:
    """PR-AUC, precision and leaked value found at K = the number of leaks, and PR-AUC by kind.

    Raises FileNotFoundError where the data set is missing.
    """
    from sklearn.metrics import average_precision_score

    folder = data / _NAME
    for name in ("invoice_lines.parquet", "labels.parquet"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"data set {_NAME} is missing: no {folder / name}")
    lines = pd.read_parquet(folder / "invoice_lines.parquet").rename(columns=_COLUMNS)
    scored = LeakDetector(seed=0).fit(lines).score(lines, evidence=False)
    labels = pd.read_parquet(folder / "labels.parquet").set_index("line_id")
    labels = labels.loc[scored["line_id"]]
    score, kind = scored["score"].to_numpy(), labels["leak"].to_numpy()
    amount, leak = labels["leak_amount"].to_numpy(), kind != "none"
    k = int(leak.sum())
    # Ties go by the amount estimated, as a person would.
    top = np.lexsort((-scored["amount"].to_numpy(), -score))[:k]
    at_k = f"{_PROTOCOL} the K = {k} highest scores, K = number of leaks"
    results = [
        Result(
            _NAME, "revenue_leak", "PR-AUC", float(average_precision_score(leak, score)),
            0.74, ".764 (rule)", f"{_PROTOCOL} average precision over all lines",
        ),
        Result(
            _NAME, "revenue_leak", "leaked value found at K",
            float(amount[top].sum() / amount.sum()), 0.88, ".896 (rule)", at_k,
        ),
        Result(
            _NAME, "revenue_leak", "precision at K", float(leak[top].mean()), None,
            ".737 (rule)", at_k,
        ),
    ]  # fmt: skip
    for name, published in _PUBLISHED.items():
        of_kind = (kind == name) | ~leak
        value = average_precision_score(kind[of_kind] == name, score[of_kind])
        results.append(
            Result(
                _NAME, "revenue_leak", f"PR-AUC {name}", float(value), None,
                f"{published} (rule)", f"{_PROTOCOL} lines of this kind against honest lines",
            )
        )  # fmt: skip
    return results
