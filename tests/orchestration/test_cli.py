"""What a user can mend ends in one sentence and status 1, whichever command met it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.lifecycle.workspace import Workspace
from orchestration.cli import main
from tests.lifecycle.conftest import Life
from tests.small_firm import LAST, Firm, lines, write_csv


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with data and failed rules, and nothing trained."""
    life = Life(Firm(tmp_path_factory.mktemp("cli")))
    rows = lines(LAST)
    for row in rows[::10]:
        row["unit_price"] = -1.0
    write_csv(life.firm.export_folder, "invoice_lines", rows)
    life.on().ingest("run-1")
    life.close()
    return life.firm.folder / "home"


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Environment and open workspace as a fresh process has them."""
    monkeypatch.setenv("SEVENFOLD_HOME", "")
    Workspace.current.cache_clear()
    yield
    Workspace.current.cache_clear()


def call(command: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["sevenfold", *shlex.split(command), "--home", str(home)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("models rollback churn --reason x", "churn has no champion to roll back from"),
        ("models promote churn nope --reason x", "nope"),
        ("models show horoscope", "there is no model 'horoscope'; there are profitability, churn"),
        ("replay churn c01 --as-of 2025-06-30", "no stored decision on 'c01' of 2025-06-30"),
        ("show churn", "was not scored yet"),
        ("drift report churn", "no champion"),
        ("quality accept clients empty --reason x", "clients has no failed rule 'empty'"),
        ("sql 'DROP TABLE firm'", "only"),
        ("sql 'SELECT 1 FROM nowhere'", "nowhere"),
    ],
)
def test_a_refusal_is_one_sentence(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    said: str,
) -> None:
    assert call(command, home, monkeypatch) == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.strip().splitlines()) <= 2
    assert shown.out == ""


def test_quality_shows_what_failed_and_accepts_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("quality show invoice_lines --json", home, monkeypatch) == 0
    assert '"verdict": "fail"' in capsys.readouterr().out
    assert call("quality accept invoice_lines quarantined --reason known", home, monkeypatch) == 0
    assert "holds until it gets worse" in capsys.readouterr().err
    assert call("quality show", home, monkeypatch) == 0
    assert "(accepted)" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["config --json", "models list", "purge", "migrate", "report"])
def test_commands_about_a_home_without_models_do_what_they_can(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert call(command, home, monkeypatch) == 0


def test_a_wrong_setting_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEVENFOLD_CURRENCY", "euro")
    assert call("models list", home, monkeypatch) == 1
    assert "SEVENFOLD_CURRENCY is 'euro'" in capsys.readouterr().err
