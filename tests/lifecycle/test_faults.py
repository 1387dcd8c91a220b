"""A process that is killed leaves nothing half visible, and the next run completes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from ml.lifecycle.purging import purge
from tests.jobs.test_bulk_faults import JOB_POINTS
from tests.lifecycle.fault_driver import STEPS
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm, lines
from warehouse import faults
from warehouse.database import reading
from warehouse.repositories import data_versions, models, scores, verdicts

ROOT = Path(__file__).resolve().parents[2]
BEFORE = date(2025, 5, 31)
POINTS = {
    "lake-committed": "ingest",
    "verdict": "ingest",
    "artifact-files": "train",
    "artifact-complete": "train",
    "score-write": "score",
    "bulk-half": "score",
}
PROMOTION = "promotion-open"
Seen = dict[str, Any]


@dataclass
class History:
    """Homes as they were before each step of June, what was visible then, and after it.

    A home belongs to its source, and that is a folder: so there is one working folder, which
    each test gets anew from a copy.
    """

    root: Path
    before: dict[str, Seen]
    after: dict[str, Seen]
    seconds: dict[str, float]

    @property
    def folder(self) -> Path:
        """The working folder."""
        return self.root / "firm"

    def keep(self, step: str) -> None:
        """Copy the working folder as it is before the step."""
        shutil.copytree(self.folder, self.root / step)
        self.before[step] = visible(self.folder)

    def go_back_to(self, step: str) -> None:
        """Restore that copy."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.root / step, self.folder)


def visible(folder: Path, url: str | None = None) -> Seen:
    """All that a reader can see of a home."""
    workspace = Firm(folder, url).on(LAST)
    with reading(workspace.engine) as connection:
        snapshots = data_versions.recent(connection)
        seen: Seen = {
            "snapshots": [(one.snapshot, dict(one.row_counts)) for one in snapshots],
            "verdicts": {
                one.snapshot: sorted(verdicts.at_snapshot(connection, one.snapshot))
                for one in snapshots
            },
            "versions": [one.version for one in models.versions(connection, EIGHTH.name)],
            "champion": [one.version for one in models.log(connection, EIGHTH.name)],
            "days": [(one.as_of, one.rows) for one in scores.days(connection, EIGHTH.name)],
            "scores": [
                tuple(row)
                for row in connection.execute(
                    text(
                        "SELECT as_of, buyer_id, expected_revenue, model_version, data_version"
                        " FROM repeat_orders_scores ORDER BY as_of, buyer_id"
                    )
                )
            ],
            "online": [
                tuple(row)
                for row in connection.execute(
                    text("SELECT entity, as_of, features FROM online_features ORDER BY entity")
                )
            ],
        }
    read = workspace.snapshot().read("invoice_lines", ["line_id", "unit_price"]).to_pydict()
    seen["lines"] = sorted(zip(read["line_id"], read["unit_price"], strict=True))
    workspace.engine.dispose()
    return seen


def step_here(folder: Path, step: str, day: date, url: str | None = None) -> None:
    """The step in this process, undisturbed."""
    workspace = Firm(folder, url).on(day)
    STEPS[step](workspace, day)
    workspace.engine.dispose()


def start(
    folder: Path, step: str, point: str = "", url: str | None = None
) -> subprocess.Popen[bytes]:
    """June's step in a process of its own."""
    driver = [sys.executable, "-m", "tests.lifecycle.fault_driver"]
    return subprocess.Popen(
        [*driver, str(folder), str(LAST), step, *([url] if url else [])],
        cwd=ROOT,
        env={**os.environ, faults.VARIABLE: point},
    )


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """May is over: ingested, trained and scored. June follows step by step."""
    made = History(tmp_path_factory.mktemp("faults"), {}, {}, {})
    firm = Firm(made.folder)
    firm.export(BEFORE)
    for step in STEPS:
        step_here(made.folder, step, BEFORE)
    firm.export(LAST)
    for step in STEPS:
        made.keep(step)
        began = time.monotonic()
        step_here(made.folder, step, LAST)
        made.seconds[step] = time.monotonic() - began
        made.after[step] = visible(made.folder)
    return made


def goes_on(history: History, step: str) -> None:
    """What must hold after a kill: the old state or the new one, and the next run completes."""
    killed = visible(history.folder)
    before, after = history.before[step], history.after[step]
    if step == "train":
        # Two transactions: a version may be there that nobody promoted yet.
        before = before | {"versions": killed["versions"]}
        assert killed["versions"] in (history.before[step]["versions"], after["versions"])
    assert killed in (before, after)
    step_here(history.folder, step, LAST)
    assert visible(history.folder) == after


def test_every_point_is_tested() -> None:
    assert {*POINTS, *JOB_POINTS, PROMOTION} == set(faults.POINTS)
    with pytest.raises(ValueError, match="no fault point is named 'elsewhere'"):
        faults.reach("elsewhere")


def test_the_steps_do_what_the_faults_are_to_disturb(history: History) -> None:
    expected = sorted((row["line_id"], row["unit_price"]) for row in lines(LAST))
    assert history.after["ingest"]["lines"] == expected
    assert len(history.before["ingest"]["lines"]) < len(expected)
    assert len(history.after["train"]["versions"]) == len(history.before["train"]["versions"]) + 1
    assert [day for day, _ in history.after["score"]["days"]] == [LAST, BEFORE]
    assert history.after["score"]["verdicts"].values()


def test_a_promotion_that_is_killed_in_its_transaction_is_none_and_the_next_run_promotes(
    tmp_path: Path,
) -> None:
    Firm(tmp_path).export(LAST)
    step_here(tmp_path, "ingest", LAST)
    assert start(tmp_path, "train", PROMOTION).wait(120) == -signal.SIGKILL
    killed = visible(tmp_path)
    assert (len(killed["versions"]), killed["champion"]) == (1, [])
    step_here(tmp_path, "train", LAST)
    assert visible(tmp_path)["champion"] == killed["versions"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_named_point_leaves_the_old_state_and_the_next_run_completes(
    history: History, point: str
) -> None:
    step = POINTS[point]
    history.go_back_to(step)
    assert start(history.folder, step, point).wait(120) == -signal.SIGKILL
    assert (history.folder / "began").exists()
    assert not (history.folder / "ended").exists()
    assert visible(history.folder) == history.before[step]
    goes_on(history, step)


@pytest.mark.postgres
@pytest.mark.parametrize("point", ["verdict", "artifact-complete", "score-write", "bulk-half"])
def test_a_kill_within_a_transaction_of_postgresql_leaves_the_old_state(
    tmp_path: Path, postgres_url: str, point: str
) -> None:
    firm = Firm(tmp_path, postgres_url)
    firm.export(BEFORE)
    for step in STEPS:
        step_here(tmp_path, step, BEFORE, postgres_url)
    firm.export(LAST)
    killed = POINTS[point]
    for step in STEPS:
        if step == killed:
            before = visible(tmp_path, postgres_url)
            assert start(tmp_path, step, point, postgres_url).wait(120) == -signal.SIGKILL
            assert visible(tmp_path, postgres_url) == before
        step_here(tmp_path, step, LAST, postgres_url)
    after = visible(tmp_path, postgres_url)
    assert after["days"] == [(LAST, 40), (BEFORE, 40)]
    assert after["lines"] == sorted((row["line_id"], row["unit_price"]) for row in lines(LAST))
    assert after["snapshots"][0][1] == {"invoice_lines": len(after["lines"])}
    assert len(after["versions"]) == 2


@pytest.mark.long
@pytest.mark.parametrize("number", range(10))
def test_a_kill_at_any_time_leaves_the_old_state_or_the_new_one(
    history: History, number: int
) -> None:
    step = tuple(STEPS)[number % len(STEPS)]
    history.go_back_to(step)
    running = start(history.folder, step)
    while not (history.folder / "began").exists():
        assert running.poll() is None, "the step did not begin"
        time.sleep(0.001)
    time.sleep(Random(number).random() * history.seconds[step])
    running.kill()
    running.wait()
    assert (history.folder / "began").exists()
    goes_on(history, step)


def test_a_purge_removes_what_a_killed_training_left_but_no_draft_of_today(
    history: History,
) -> None:
    history.go_back_to("train")
    start(history.folder, "train", "artifact-files").wait(120)
    [draft] = (history.folder / "home" / "models" / EIGHTH.name).glob(".draft-*")
    workspace = Firm(history.folder).on(LAST)
    purge(workspace)
    assert draft.exists()
    two_days_ago = time.time() - 2 * 86_400
    os.utime(draft, (two_days_ago, two_days_ago))
    purge(workspace)
    assert not draft.exists()
    workspace.engine.dispose()
