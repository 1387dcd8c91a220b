"""Model versions and the promotion log, whose last word is the champion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine

from warehouse.database import reading, writing
from warehouse.repositories import models
from warehouse.repositories.models import (
    ModelVersion,
    NothingToRollBackError,
    UnknownVersionError,
)

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_a_version_comes_back_as_it_was_registered(engine: Engine) -> None:
    one = version("churn-1", details={"threads": 1})
    with writing(engine) as connection:
        models.register(connection, one)
    with reading(engine) as connection:
        assert models.get(connection, "churn-1") == one
        assert models.get(connection, "churn-2") is None


def test_latest_is_the_newest_training_promoted_or_not(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "b", "a")
        models.register(connection, version("other", model="demand", at=NOON + timedelta(days=9)))
        models.promote(connection, "churn", "b", "better", "gate")

        latest = models.latest(connection, "churn")
        assert latest is not None
        assert latest.version == "a"
        assert [one.version for one in models.versions(connection, "churn")] == ["a", "b"]


def test_there_is_no_champion_before_a_promotion(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a")
        assert models.champion(connection, "churn") is None


def test_the_champion_is_the_last_word_of_the_log(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a", "b")
        models.promote(connection, "churn", "a", "first", "gate")
        models.promote(connection, "churn", "b", "better", "gate")
        assert name(connection) == "b"
        entry = models.rollback(connection, "churn", "complaints", "anna")
        assert name(connection) == "a"

    assert (entry.action, entry.version, entry.decided_by) == ("rollback", "a", "anna")
    with reading(engine) as connection:
        log = models.log(connection, "churn")
    assert [(one.action, one.version, one.reason) for one in log] == [
        ("rollback", "a", "complaints"),
        ("promote", "b", "better"),
        ("promote", "a", "first"),
    ]


def test_rolling_back_twice_goes_back_twice_and_then_to_none(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a", "b", "c")
        for one in "abc":
            models.promote(connection, "churn", one, "better", "gate")
        seen = []
        for _ in range(3):
            models.rollback(connection, "churn", "bad", "anna")
            seen.append(name(connection))
        with pytest.raises(NothingToRollBackError, match="churn has no champion"):
            models.rollback(connection, "churn", "bad", "anna")

    assert seen == ["b", "a", None]


def test_promoting_the_champion_again_does_not_make_it_its_own_predecessor(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a", "b")
        for one in "abb":
            models.promote(connection, "churn", one, "better", "gate")
        models.rollback(connection, "churn", "bad", "anna")
        assert name(connection) == "a"


def test_a_rollback_then_a_promotion_can_be_rolled_back_to_what_was_before(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a", "b", "c")
        models.promote(connection, "churn", "a", "first", "gate")
        models.promote(connection, "churn", "b", "better", "gate")
        models.rollback(connection, "churn", "bad", "anna")
        models.promote(connection, "churn", "c", "better", "gate")
        models.rollback(connection, "churn", "bad", "anna")
        assert name(connection) == "a"


def test_only_a_version_of_that_model_can_be_promoted(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a", "b")
        for model, one in (("churn", "zzz"), ("demand", "a")):
            with pytest.raises(UnknownVersionError, match=f"{model} has no version '{one}'"):
                models.promote(connection, model, one, "better", "gate")
        assert models.log(connection, "churn") == []


def test_models_have_champions_of_their_own(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a")
        models.register(connection, version("d", model="demand"))
        models.promote(connection, "churn", "a", "first", "gate")
        assert models.champion(connection, "demand") is None
        models.promote(connection, "demand", "d", "first", "gate")
        assert name(connection) == "a"


def test_the_champion_of_a_past_day_is_whom_the_log_named_at_its_end(engine: Engine) -> None:
    with writing(engine) as connection:
        register(connection, "a", "b")
        models.promote(connection, "churn", "a", "first", "gate", at=NOON)
        models.promote(connection, "churn", "b", "better", "gate", at=NOON + timedelta(days=2))
        models.rollback(connection, "churn", "bad", "anna", at=NOON + timedelta(days=4))

        named = {
            day: models.champion_on(connection, "churn", date(2025, 6, 1) + timedelta(days=day))
            for day in (-1, 0, 1, 2, 3, 4, 5)
        }

    assert {day: one and one.version for day, one in named.items()} == {
        -1: None,
        0: "a",
        1: "a",
        2: "b",
        3: "b",
        4: "a",
        5: "a",
    }


@pytest.mark.parametrize(
    ("zone", "expected"), [("America/Los_Angeles", "a"), ("UTC", None), ("Asia/Tokyo", None)]
)
def test_a_day_ends_at_the_firms_midnight(engine: Engine, zone: str, expected: str | None) -> None:
    with writing(engine) as connection:
        register(connection, "a")
        half_past = datetime(2025, 6, 2, 0, 30, tzinfo=UTC)
        models.promote(connection, "churn", "a", "first", "gate", at=half_past)

        named = models.champion_on(connection, "churn", date(2025, 6, 1), ZoneInfo(zone))

    assert (named and named.version) == expected


def register(connection: Connection, *names: str) -> None:
    """In the order of their training, whatever their names."""
    for hours, one in enumerate(names):
        models.register(connection, version(one, at=NOON + timedelta(hours=hours)))


def name(connection: Connection) -> str | None:
    champion = models.champion(connection, "churn")
    return champion and champion.version


def version(
    name: str,
    model: str = "churn",
    at: datetime = NOON,
    details: dict[str, int] | None = None,
) -> ModelVersion:
    return ModelVersion(
        version=name,
        model=model,
        trained_at=at,
        trained_as_of=date(2025, 5, 31),
        known_through=date(2025, 5, 30),
        data_version="snapshot-1",
        estimator="ml.estimators.churn:ChurnClassifier",
        metrics={"auc": 0.81},
        baseline={"auc": 0.7},
        gate={"passed": True, "reasons": []},
        feature_schema_hash="hash",
        artifact=f"{model}/{name}",
        manifest_sha256="sum",
        card=f"{model}/{name}/card.md",
        status="candidate",
        details=details,
    )


def test_two_rollbacks_at_once_go_two_promotions_back(engine: Engine) -> None:
    with writing(engine) as connection:
        for name in ("first", "second", "third"):
            models.register(connection, version(name))
            models.promote(connection, "churn", name, "better", "me")

    def back(_: int) -> str | None:
        with writing(engine) as connection:
            return models.rollback(connection, "churn", "worse", "me").version

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(back, range(2))) == ["first", "second"]
    with reading(engine) as connection:
        found = models.champion(connection, "churn")
    assert found is not None
    assert found.version == "first"
