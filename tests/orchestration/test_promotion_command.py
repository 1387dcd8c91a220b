"""``sevenfold models``: approved, promoted, rolled back, each with its line in the audit log."""

from __future__ import annotations

import pytest

from ml.lifecycle import promotion
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from tests.orchestration.command_home import ME, logged, on_home, told
from tests.orchestration.conftest import Runs
from tests.orchestration.versions_home import trained
from warehouse.database import reading, writing
from warehouse.repositories import models

__all__ = ["on_home"]

FAILED = {"passed": False, "reasons": ["auc 0.6 is worse"], "failed": ["auc 0.6 is worse"]}


def champion() -> str | None:
    with reading(Workspace.current().engine) as connection:
        found = models.champion(connection, "churn")
    return found.version if found else None


def test_a_waiting_candidate_is_marked_and_promoting_approves_it(on_home: Runs) -> None:
    reigning = trained(60)
    on_home("models", "promote", "churn", reigning, "--reason", "first")
    candidate = trained(0)

    def statuses() -> dict[str, str]:
        shown = told(on_home, "models", "show", "churn")["versions"]
        return {one["version"]: one["status"] for one in shown}

    assert statuses() == {candidate: "waits for approval", reigning: "champion"}
    assert f"{candidate} waits for approval" in on_home("models", "list")[1]
    [churn] = [one for one in told(on_home, "models", "list") if one["model"] == "churn"]
    assert (churn["champion"], churn["waiting"]) == (reigning, candidate)
    status, _, error = on_home("models", "promote", "churn", candidate, "--reason", "[/checked]")
    assert (status, error) == (0, f"{candidate} is champion of Churn.\n")
    assert champion() == candidate
    assert statuses() == {candidate: "champion", reigning: "candidate"}
    assert "[/checked]" in on_home("models", "show", "churn")[1]
    assert "waits for approval" not in on_home("models", "list")[1]
    told_of = {"version": candidate, "reason": "[/checked]"}
    assert logged()[0] == (ME, "model.promote", "churn", told_of)


def test_a_newer_version_takes_the_place_of_one_that_waits(on_home: Runs) -> None:
    on_home("models", "promote", "churn", trained(60), "--reason", "first")
    trained(30)
    rejected = trained(0, FAILED)
    assert "waits" not in on_home("models", "list")[1]
    shown = told(on_home, "models", "show", "churn")["versions"]
    assert [one["status"] for one in shown] == ["rejected", "candidate", "champion"]
    assert on_home("models", "promote", "churn", rejected, "--reason", "by hand")[0] == 0


def test_rolling_back_is_logged_with_the_version_that_serves_again(on_home: Runs) -> None:
    first, second = trained(60), trained(0)
    on_home("models", "promote", "churn", first, "--reason", "first")
    on_home("models", "promote", "churn", second, "--reason", "second")
    status, _, error = on_home("models", "rollback", "churn", "--reason", "worse")
    assert (status, error) == (0, f"Champion of Churn: {first}.\n")
    assert champion() == first
    assert logged()[0] == (ME, "model.rollback", "churn", {"version": first, "reason": "worse"})
    on_home("models", "rollback", "churn", "--reason", "worse")
    assert (champion(), logged()[0][3]["version"]) == (None, None)
    shown = told(on_home, "models", "show", "churn")
    assert {one["by"] for one in shown["log"]} == {ME}


def test_a_rollback_beside_another_decision_is_one_sentence_and_changes_nothing(
    on_home: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = trained(60), trained(30), trained(0)
    for version in (first, second):
        on_home("models", "promote", "churn", version, "--reason", "better")
    look = promotion.before

    def and_then_another_promotes(workspace: Workspace, spec: ModelSpec) -> str | None:
        found = look(workspace, spec)
        with writing(workspace.engine) as connection:
            models.promote(connection, spec.name, third, "better", "somebody else")
        return found

    monkeypatch.setattr(promotion, "before", and_then_another_promotes)
    status, _, error = on_home("models", "rollback", "churn", "--reason", "worse")
    said = "error: somebody else changed the champion of Churn meanwhile\n"
    assert (status, error) == (1, said)
    assert champion() == third


def test_what_cannot_serve_is_not_promoted(on_home: Runs) -> None:
    version = trained(0)
    folder = Workspace.current().artifacts.open("churn", version).folder
    promote = ("models", "promote", "churn", version, "--reason", "x")
    assert on_home(*promote)[0] == 0
    status, _, error = on_home(*promote)
    assert (status, error) == (1, f"error: {version} is champion of Churn already\n")
    on_home("models", "rollback", "churn", "--reason", "x")
    (folder / "card.md").write_text("another card")
    status, _, error = on_home(*promote)
    assert status == 1
    assert "card.md is not the file that was written" in error
    assert champion() is None
    assert [entry[1] for entry in logged()] == ["model.rollback", "model.promote"]
