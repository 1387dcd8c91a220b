"""The benchmarks run: tiny sizes give ratios, and what fails or hangs is a row."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as cli
from benchmarks import harness, runner
from benchmarks.bench_pipeline import steps
from benchmarks.harness import Cost, Row, at_least, at_most

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("ours", "theirs", "goal", "ratio", "held"),
    [
        (1.0, 4.0, at_least(4), 4.0, True),
        (1.0, 3.9, at_least(4), 3.9, False),
        (2.0, 1.0, at_most(2), 2.0, True),
        (2.1, 1.0, at_most(2), 2.1, False),
        (3.0, 1.0, None, 3.0, None),
    ],
)
def test_a_ratio_reads_as_its_goal_does(
    ours: float, theirs: float, goal: harness.Goal | None, ratio: float, held: bool | None
) -> None:
    row = Row("what", "baseline", Cost(ours), Cost(theirs), goal)
    assert row.ratio == pytest.approx(ratio)
    assert row.held is held


def test_memory_above_its_goal_misses_although_the_time_holds() -> None:
    row = Row("what", "baseline", Cost(1, peak_mb=300), Cost(9), at_least(4), peak_goal_mb=200)
    assert row.held is False


def test_peak_memory_is_the_childs_own() -> None:
    ballast = bytearray(300_000_000)
    assert harness.peak_mb() > 280
    assert harness.isolated(harness.peak_mb) < len(ballast) / 1e6


def test_every_benchmark_is_declared_by_its_name() -> None:
    declared = {
        path.stem.removeprefix("bench_") for path in (PROJECT / "benchmarks").glob("bench_*.py")
    }
    assert set(cli.KNOWN) == declared
    assert [runner.benchmark(name).name for name in cli.KNOWN] == list(cli.KNOWN)


@pytest.mark.parametrize("name", cli.KNOWN)
def test_every_size_is_an_option_of_its_benchmark(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = runner.benchmark(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        chosen.main()
    shown = capsys.readouterr().out
    for size in chosen.sizes():
        assert f"--{size.replace('_', '-')} " in shown


def test_tiny_sizes_print_ratios_and_fill_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{cli.BEGIN}\nold figures\n{cli.END}\nafter\n")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "features", "--quick", "--write", str(page)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| features")]
    assert len(lines) == 6
    assert sum("× faster" in line.split("|")[6] for line in lines) == 3
    text = page.read_text()
    assert text.startswith(f"before\n{cli.BEGIN}\n")
    assert text.endswith(f"\n{cli.END}\nafter\n")
    assert lines[0] in text
    assert "old figures" not in text


def test_a_failure_is_a_row_that_names_it() -> None:
    rows = list(runner.measure("scoring", {"rows": 10, "colums": 6}, minutes=1))
    assert len(rows) == 1
    assert "unexpected keyword argument 'colums'" in rows[0].problem


def test_a_time_out_is_a_row_and_leaves_no_process() -> None:
    rows = list(runner.measure("scoring", {"rows": 100_000, "columns": 40}, minutes=0.01))
    assert [row.problem for row in rows] == ["timed out after 0.01 minutes"]
    assert multiprocessing.active_children() == []


def test_steps_are_read_as_the_command_prints_them() -> None:
    messages = "✓ reading the source 12.1 s\nnote\n✓ training churn 7.7 s\n"

    assert steps(messages) == [("reading the source", 12.1), ("training churn", 7.7)]


def test_a_page_without_marks_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*_given: object) -> Iterator[Row]:
        raise AssertionError("measured")

    page = tmp_path / "page.md"
    page.write_text("no marks")
    monkeypatch.setattr(cli, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--write", str(page)])
    with pytest.raises(SystemExit):
        cli.main()
    assert cli.BEGIN in capsys.readouterr().err
