"""Candidates, gates and champions."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import pytest

from ml.gate import judge_candidate
from ml.lifecycle.training import promote_if_passed, train
from ml.methods.method import Comparison
from ml.models import Gate, Registry
from ml.refusals import NoDataError, NotAvailableError, NotEnoughDataError, QualityError
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, lines, write_csv
from warehouse.database import reading, writing
from warehouse.repositories import models, verdicts

GATE = Gate(metric="auc", baseline="recency", also_better={"brier": False}, limits={"ece": 0.05})


def compared(auc: float = 0.8, brier: float = 0.1, ece: float = 0.01) -> Comparison:
    return Comparison(
        ours={"auc": auc, "brier": brier, "ece": ece},
        baseline={"auc": 0.7, "brier": 0.15, "ece": 0.04},
        rows=100,
        basis="later months",
    )


@pytest.mark.parametrize(
    ("ours", "failed"),
    [
        ({}, None),
        ({"auc": 0.69}, "auc 0.69 is not better than recency (0.7)"),
        ({"auc": 0.7}, "auc 0.7 is not better than recency (0.7)"),
        ({"brier": 0.16}, "brier 0.16 is not better than recency (0.15)"),
        ({"ece": 0.06}, "ece 0.06, at most 0.05 is allowed"),
        ({"ece": 0.0500012}, "ece 0.050001, at most 0.05 is allowed"),
        ({"auc": float("nan")}, "auc nan is not better than recency (0.7)"),
    ],
)
def test_a_gate_says_what_it_compared(ours: dict[str, float], failed: str | None) -> None:
    verdict = judge_candidate(GATE, compared(**ours), None, has_champion=False)
    assert verdict.passed is (failed is None)
    assert len(verdict.reasons) == 3
    assert verdict.failed == ((failed,) if failed else ())


def test_a_champion_stays_until_later_data_show_that_the_candidate_is_better() -> None:
    without = judge_candidate(GATE, compared(), None, has_champion=True)
    assert not without.passed
    assert without.reasons[-1] == "no data later than what the champion knew, so it stays"
    worse = judge_candidate(GATE, compared(), (compared(0.8), compared(0.81)), has_champion=True)
    assert not worse.passed
    assert worse.reasons[-1] == "auc 0.8 is not better than the champion (0.81)"
    assert judge_candidate(GATE, compared(), (compared(0.82), compared(0.81)), True).passed


def test_a_first_candidate_that_beats_its_baseline_is_promoted(life_on_both: Life) -> None:
    workspace = life_on_both.ingested()
    trained = train(workspace, EIGHTH, "run-1")
    assert trained.gate.passed
    assert trained.gate.reasons[0].endswith("of the last 30 days")
    assert trained.known_through == LAST
    outcome = promote_if_passed(workspace, EIGHTH, "me")
    assert outcome.promoted
    assert outcome.sentence.startswith(f"{trained.version} is champion: mae ")
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    assert champion.version == trained.version
    assert champion.known_through == LAST
    assert "no label is later than 2025-06-30" in (champion.folder / "card.md").read_text()
    with reading(workspace.engine) as connection:
        log = models.log(connection, EIGHTH.name)
    assert [(entry.action, entry.decided_by) for entry in log] == [("promote", "me")]
    assert log[0].decided_at == workspace.clock()


def test_the_same_training_again_registers_nothing_new(life: Life) -> None:
    workspace = life.ingested()
    first = train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    again = train(workspace, EIGHTH, "run-2")
    assert again.version == first.version
    outcome = promote_if_passed(workspace, EIGHTH, "me")
    assert not outcome.promoted
    assert outcome.sentence == f"{first.version} is champion already."
    with reading(workspace.engine) as connection:
        assert len(models.versions(connection, EIGHTH.name)) == 1
        assert len(models.log(connection, EIGHTH.name)) == 1
    champion = workspace.champion(EIGHTH)
    assert champion is not None
    champion.verify()


def test_what_a_person_took_back_is_not_promoted_again_by_itself(life: Life) -> None:
    workspace = life.ingested()
    first = train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    with writing(workspace.engine) as connection:
        models.rollback(connection, EIGHTH.name, "it called nobody", "ann")
        assert models.waiting(connection, EIGHTH.name) is None
    assert train(workspace, EIGHTH, "run-2").version == first.version
    outcome = promote_if_passed(workspace, EIGHTH, "me")
    assert (outcome.champion, outcome.promoted) == (None, False)
    assert outcome.sentence == (
        f"{first.version} was champion before: only a person brings it back."
    )


def test_a_candidate_that_fails_the_gate_is_kept_as_rejected_and_not_promoted(life: Life) -> None:
    workspace = life.ingested()
    impossible = Gate(metric="mae", baseline="perfection", limits={"mae": 0.0})
    strict = dataclasses.replace(EIGHTH, gate=impossible)
    trained = train(workspace, strict, "run-1")
    outcome = promote_if_passed(workspace, strict, "me")
    assert not outcome.promoted
    assert outcome.champion is None
    assert f"{trained.version} did not pass the gate: mae" in outcome.sentence
    with reading(workspace.engine) as connection:
        newest = models.latest(connection, strict.name)
    assert newest is not None
    assert newest.status == "rejected"


def test_a_candidate_meets_the_champion_only_on_days_that_the_champion_did_not_know(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = life.ingested(date(2025, 3, 31))
    first = train(early, EIGHTH, "run-1")
    promote_if_passed(early, EIGHTH, "me")
    # A month later no month end after the champion's last label has its outcome yet.
    soon = life.ingested(date(2025, 4, 29))
    trained = train(soon, EIGHTH, "run-2")
    assert "no data later than what the champion knew" in trained.gate.reasons[-1]
    assert promote_if_passed(soon, EIGHTH, "me").champion == first.version

    late = life.ingested(LAST)
    asked: list[Any] = []
    method = type(late.method(EIGHTH))
    backtest = method.backtest

    def watched(self: Any, data: Any, as_of: Any, fitted: Any = None, after: Any = None) -> Any:
        judged = backtest(self, data, as_of, fitted, after)
        asked.append((after, None if judged is None else sorted(set(judged.frame["as_of"]))))
        return judged

    monkeypatch.setattr(method, "backtest", watched)
    trained = train(late, EIGHTH, "run-3")
    against = [days for after, days in asked if after == date(2025, 3, 31)]
    assert against == [[date(2025, 4, 30), date(2025, 5, 31)]] * 2
    assert "the champion" in trained.gate.reasons[-1]


def test_nothing_is_trained_before_the_first_ingestion(life: Life) -> None:
    life.firm.export()
    with pytest.raises(NoDataError, match="sevenfold run"):
        train(life.on(), EIGHTH, "run-1")


def test_a_model_names_the_table_it_lacks(life: Life) -> None:
    other = dataclasses.replace(EIGHTH, needs=(frozenset({"channel_spend", "series"}),))
    workspace = life.ingested(registry=Registry([other]))
    with pytest.raises(NotAvailableError) as refused:
        train(workspace, other, "run-1")
    assert str(refused.value) == (
        "Repeat orders is not available: the source lacks channel_spend and series."
    )


def test_too_short_a_past_is_said_and_registers_nothing(life: Life) -> None:
    workspace = life.ingested(date(2024, 2, 20))
    with pytest.raises(NotEnoughDataError, match="month"):
        train(workspace, EIGHTH, "run-1")
    with reading(workspace.engine) as connection:
        assert models.latest(connection, EIGHTH.name) is None


def test_a_failed_verdict_stops_a_later_separate_run_until_accepted(life_on_both: Life) -> None:
    life = life_on_both
    life.ingested(date(2025, 5, 31))
    rows = lines(LAST)
    for row in rows[::10]:
        row["unit_price"] = -1.0
    write_csv(life.firm.export_folder, "invoice_lines", rows)
    report = life.on(LAST).ingest("run-1")
    assert report.tables[0].verdict == "fail"

    later = life.on(LAST)
    with pytest.raises(QualityError) as refused:
        train(later, EIGHTH, "run-2")
    said = str(refused.value)
    assert "table invoice_lines failed its quality verdict" in said
    with reading(later.engine) as connection:
        [broken] = verdicts.blocking(connection, {"invoice_lines"})["invoice_lines"]
    assert f"sevenfold quality accept invoice_lines {broken.rule} --reason" in said
    with writing(later.engine) as connection:
        verdicts.accept(connection, "invoice_lines", broken.rule, "me", "known mistakes")
    assert train(later, EIGHTH, "run-3").gate.passed
