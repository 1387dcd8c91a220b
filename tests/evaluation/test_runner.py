"""The evaluation runner: what it measures, skips and refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ml.evaluation import EVALUATIONS, run
from ml.evaluation.result import Result
from ml.models.registry import MODELS


def figure(model: str, ours: float = 1.0, floor: float | None = None) -> Result:
    return Result("set", model, "AUC", ours, floor, "-", "-")


def absent(data: Path) -> list[Result]:
    raise FileNotFoundError(f"data set none is not in {data}")


def test_every_model_of_the_registry_has_an_evaluation() -> None:
    assert set(EVALUATIONS) == {path.split(":")[0].rsplit(".", 1)[1] for path in MODELS}


def test_rows_come_in_the_order_asked_and_each_model_is_told_first(tmp_path: Path) -> None:
    told: list[str] = []

    def measured(name: str) -> list[Result]:
        told.append(f"{name} measured")
        return [figure(name), figure(name)]

    known = {name: lambda data, name=name: measured(name) for name in ("a", "b")}
    found = run(tmp_path, ["b", "a"], told.append, known)
    assert [result.model for result in found] == ["b", "b", "a", "a"]
    assert told == ["b", "b measured", "a", "a measured"]


def test_an_absent_data_set_is_a_skipped_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    first, second = run(tmp_path, None, None, {"a": absent, "b": lambda data: [figure("b")]})
    assert (first.model, first.ours, first.skipped, first.holds) == ("a", None, True, True)
    assert "data set none is not in" in first.protocol
    assert second == figure("b")


def test_every_model_is_skipped_with_its_reason_where_there_is_no_data(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert [result.model for result in found] == list(EVALUATIONS)
    assert all(result.skipped for result in found)


def test_an_unknown_model_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no evaluation for \['weather'\]"):
        run(tmp_path, ["weather"])
    with pytest.raises(FileNotFoundError, match="is no folder"):
        run(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("ours", "floor", "higher", "holds"),
    [
        (0.8, 0.7, True, True),
        (0.6, 0.7, True, False),
        (2.0, 2.4, False, True),
        (3, 2.4, False, False),
    ],
)
def test_a_floor_is_the_least_or_the_most(
    ours: float, floor: float, higher: bool, holds: bool
) -> None:
    row = Result("set", "a", "m", ours, floor, "-", "-", higher_is_better=higher)
    assert row.holds is holds


def test_importing_the_runner_loads_no_estimator() -> None:
    code = "import sys, ml.evaluation; print([m for m in sys.modules if m.startswith('ml.est')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
