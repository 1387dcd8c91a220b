"""Leaks on real lines with injected errors, and on the sample firm: the floors of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.estimators.revenue_leak import LeakDetector


@pytest.mark.long
def test_open_data_reaches_its_floors(example_data: Path) -> None:
    from ml.evaluation.revenue_leak import evaluate

    assert [result for result in evaluate(example_data) if not result.holds] == []


@pytest.mark.long
@pytest.mark.parametrize("seed", [7, 8])
def test_planted_leaks_of_the_sample_firm_are_found(seed: int) -> None:
    from warehouse.sources.sample import SampleFirm

    sample = SampleFirm(clients=1000, seed=seed)
    tables = {
        name: sample.table(name).to_pandas() for name in ("invoice_lines", "rates", "work_entries")
    }
    truth = sample.truth()["leaks"].to_pandas().rename(columns={"amount": "planted"})
    given = (tables["invoice_lines"], tables["rates"], tables["work_entries"])
    scored = LeakDetector().fit(*given).score(*given, evidence=False)
    judged = scored.merge(truth, on=["item_kind", "item_id"], how="left")
    k = len(truth)
    top = judged.sort_values(["score", "amount"], ascending=False).head(k)
    assert top["planted"].notna().mean() >= 0.8
    assert top["planted"].sum() >= 0.9 * truth["planted"].sum()
