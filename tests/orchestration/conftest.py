"""A firm of forty clients and its definitions, with a Dagster instance of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml.lifecycle.workspace import Workspace
from orchestration import cli
from tests.lifecycle.conftest import Life
from tests.small_firm import Firm

Said = tuple[int, str, str]
Runs = Callable[..., Said]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A firm on SQLite."""
    made = Life(Firm(tmp_path))
    yield made
    made.close()


@pytest.fixture
def sevenfold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Runs]:
    """Run a command on a home of its own: exit status, standard output, standard error."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("SEVENFOLD_WAREHOUSE_URL", raising=False)
    current = Workspace.current.__func__  # type: ignore[attr-defined]
    current.cache_clear()

    def run(*words: str) -> Said:
        monkeypatch.setenv("SEVENFOLD_HOME", str(tmp_path / "restored"))
        given = [] if "--help" in words else ["--home", str(tmp_path / "home")]
        monkeypatch.setattr("sys.argv", ["sevenfold", *words, *given])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        status = ended.value.code
        return status if isinstance(status, int) else 0, said.out, said.err

    yield run
    if current.cache_info().currsize:
        Workspace.current().engine.dispose()
        current.cache_clear()
