"""Replay: a stored decision computed again, bit for bit, whatever happened since."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from ml.artifacts import DamagedArtifactError
from ml.lifecycle.purging import purge
from ml.lifecycle.replay import replay
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.refusals import Refusal
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm, lines, write_csv
from warehouse.database import writing
from warehouse.repositories import models

DAY = date(2025, 4, 30)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day was scored; since then old rows changed, newer ones came, and a new champion."""
    life = Life(Firm(tmp_path_factory.mktemp("history")))
    early = life.ingested(DAY)
    train(early, EIGHTH, "run-1")
    promote_if_passed(early, EIGHTH, "me")
    score(early, EIGHTH, [DAY], "run-2")
    rows = lines(LAST)
    for row in rows[::50]:
        row["unit_price"] = 1.0
    write_csv(life.firm.export_folder, "invoice_lines", rows)
    late = life.on(LAST)
    late.ingest("run-3")
    trained = train(late, EIGHTH, "run-4")
    with writing(late.engine) as connection:
        models.promote(
            connection, EIGHTH.name, trained.version, "newer", "me", datetime.now(tz=UTC)
        )
    life.close()
    return life.firm.folder


@pytest.fixture
def moved_on(history: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of that home, which a test may damage."""
    life = Life(Firm(Path(shutil.copytree(history, tmp_path / "firm"))))
    yield life.on(LAST)
    life.close()


def test_a_decision_is_equal_bit_for_bit_after_newer_data_and_a_newer_champion(
    moved_on: Workspace,
) -> None:
    champion = moved_on.champion(EIGHTH)
    assert champion is not None
    for client in ("c00", "c07", "c39"):
        found = replay(moved_on, EIGHTH, client, DAY, {})
        assert found.equal, found.sentence()
        assert found.data_version == "000001"
        assert found.model_version != champion.version
        assert found.sentence().startswith("Equal bit for bit: version ")
        assert set(found.stored) == set(EIGHTH.Decision.model_fields)


def test_it_is_still_equal_after_a_purge(moved_on: Workspace) -> None:
    purge(moved_on)
    assert replay(moved_on, EIGHTH, "c07", DAY, {}).equal


def test_a_changed_decision_is_named_by_its_column(moved_on: Workspace) -> None:
    with writing(moved_on.engine) as connection:
        connection.execute(
            text(
                "UPDATE repeat_orders_scores SET expected_revenue = expected_revenue + 1e-9"
                " WHERE buyer_id = 'c07'"
            )
        )
    found = replay(moved_on, EIGHTH, "c07", DAY, {})
    assert not found.equal
    assert found.differing == ["expected_revenue"]
    assert found.sentence().startswith("Differs in expected_revenue: version ")
    assert [row["column"] for row in found.rows() if not row["equal"]] == ["expected_revenue"]


def test_a_damaged_artifact_is_named_by_its_file_and_nothing_is_compared(
    moved_on: Workspace,
) -> None:
    [version] = [
        one.name
        for one in (Path(moved_on.artifacts.root) / EIGHTH.name).iterdir()
        if one.name.startswith("repeat_orders-20250430")
    ]
    weights = Path(moved_on.artifacts.root) / EIGHTH.name / version / "fitted" / "weights.json"
    weights.write_text(json.dumps([1.0, 2.0, 3.0]))
    with pytest.raises(DamagedArtifactError, match=r"fitted/weights\.json is not the file"):
        replay(moved_on, EIGHTH, "c07", DAY, {})
    weights.unlink()
    with pytest.raises(DamagedArtifactError, match=r"fitted/weights\.json is missing"):
        replay(moved_on, EIGHTH, "c07", DAY, {})


def test_what_was_never_decided_is_refused_in_words(moved_on: Workspace) -> None:
    with pytest.raises(Refusal, match="no stored decision on 'nobody' of 2025-04-30"):
        replay(moved_on, EIGHTH, "nobody", DAY, {})
    with pytest.raises(Refusal, match="no stored decision on 'c07' of 2025-04-29"):
        replay(moved_on, EIGHTH, "c07", date(2025, 4, 29), {})
    with pytest.raises(Refusal, match=r"no key part \['colour'\]; its key is \['buyer_id'\]"):
        replay(moved_on, EIGHTH, "c07", DAY, {"colour": "red"})
