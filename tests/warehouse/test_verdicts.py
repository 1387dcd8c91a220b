"""Quality verdicts bind until the data is mended or someone accepts it as it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine

from warehouse.database import reading, writing
from warehouse.repositories import verdicts
from warehouse.repositories.verdicts import FailedRule, NothingToAcceptError, Verdict


def test_a_verdict_comes_back_as_it_was_recorded(engine: Engine) -> None:
    given = verdict("one", failed("amount_known", 0.2))
    with writing(engine) as connection:
        verdicts.add(connection, given)
    with reading(engine) as connection:
        assert verdicts.newest(connection) == {"invoices": given}
        assert verdicts.at_snapshot(connection, "one") == {"invoices": given}
        assert verdicts.at_snapshot(connection, "two") == {}


def test_bad_data_found_yesterday_still_blocks_today(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(connection, verdict("one", failed("amount_known", 0.2)))
    with reading(engine) as connection:
        assert blocking(connection) == {"invoices": ["amount_known"]}
        assert verdicts.blocking(connection, {"clients"}) == {}


def test_a_warning_blocks_nothing(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(connection, verdict("one", failed("amount_known", 0.2, "warn")))
        assert blocking(connection) == {}


def test_mended_data_blocks_no_longer(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(connection, verdict("one", failed("amount_known", 0.2)))
        verdicts.add(connection, verdict("two"))
        assert blocking(connection) == {}


def test_a_retry_replaces_its_own_verdict(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(connection, verdict("one", failed("amount_known", 0.2)))
        verdicts.add(connection, verdict("one"))
        assert len(verdicts.at_snapshot(connection, "one")) == 1
        assert blocking(connection) == {}


def test_an_acceptance_holds_until_the_figure_gets_worse(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(connection, verdict("one", failed("amount_known", 0.2)))
        accepted = verdicts.accept(connection, "invoices", "amount_known", "anna", "old system")
        assert (accepted.figure, accepted.accepted_by) == (0.2, "anna")

        seen = []
        for snapshot, figure in (("two", 0.2), ("three", 0.1), ("four", 0.21), ("five", 0.2)):
            verdicts.add(connection, verdict(snapshot, failed("amount_known", figure)))
            seen.append(blocking(connection))

    assert seen == [{}, {}, {"invoices": ["amount_known"]}, {}]


def test_accepting_one_rule_accepts_no_other(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(
            connection, verdict("one", failed("amount_known", 0.2), failed("paid_later", 3))
        )
        verdicts.accept(connection, "invoices", "amount_known", "anna", "old system")
        assert blocking(connection) == {"invoices": ["paid_later"]}


def test_only_a_rule_that_failed_can_be_accepted(engine: Engine) -> None:
    with writing(engine) as connection:
        verdicts.add(connection, verdict("one", failed("amount_known", 0.2)))
        with pytest.raises(NothingToAcceptError, match="its failed rules: amount_known"):
            verdicts.accept(connection, "invoices", "amount_knwon", "anna", "typo")
        with pytest.raises(NothingToAcceptError, match="its failed rules: none"):
            verdicts.accept(connection, "clients", "amount_known", "anna", "no verdict")


def blocking(connection: Connection) -> dict[str, list[str]]:
    found = verdicts.blocking(connection, {"invoices", "clients"})
    return {table: [rule.rule for rule in rules] for table, rules in found.items()}


def failed(rule: str, figure: float, severity: str = "fail") -> FailedRule:
    return FailedRule(
        rule=rule,
        severity=severity,  # type: ignore[arg-type]
        figure=figure,
        message=f"{figure:.0%} of rows have no amount",
        limit=0.05,
        examples=({"invoice_id": "i1", "amount": None},),
    )


def verdict(snapshot: str, *rules: FailedRule) -> Verdict:
    worst = "fail" if any(rule.severity == "fail" for rule in rules) else "warn"
    return Verdict(
        table_name="invoices",
        snapshot=snapshot,
        verdict=worst if rules else "pass",  # type: ignore[arg-type]
        failed_rules=rules,
        rows=10,
        quarantined=1,
        decided_at=datetime(2025, 6, 1, tzinfo=UTC),
    )
