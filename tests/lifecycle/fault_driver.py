"""One step of the small firm's life in a process of its own, for tests that kill it.

``python -m tests.lifecycle.fault_driver FOLDER DAY STEP [URL]`` writes ``FOLDER/began`` when the
step begins, with everything imported, and ``FOLDER/ended`` when it is done. The warehouse is the
firm's own SQLite file unless a URL is given.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from tests.models.eighth import EIGHTH
from tests.small_firm import Firm


def main(folder: Path, day: date, step: str, url: str | None = None) -> None:
    if step == "ingest":
        # What takes seconds to import, so that a kill strikes the step and not its imports.
        import great_expectations  # noqa: F401
    workspace = Firm(folder, url).on(day)
    (folder / "began").touch()
    STEPS[step](workspace, day)
    (folder / "ended").touch()
    workspace.engine.dispose()


def ingest(workspace: Workspace, day: date) -> None:
    workspace.ingest("step")


def train_and_promote(workspace: Workspace, day: date) -> None:
    train(workspace, EIGHTH, "step")
    promote_if_passed(workspace, EIGHTH, "step")


def score_day(workspace: Workspace, day: date) -> None:
    score(workspace, EIGHTH, [day], "step")


STEPS = {"ingest": ingest, "train": train_and_promote, "score": score_day}

if __name__ == "__main__":
    main(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), *sys.argv[3:])
