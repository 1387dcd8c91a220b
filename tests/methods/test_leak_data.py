"""What revenue leaks reads does not hang on how the lake came to hold it."""

from __future__ import annotations

from pathlib import Path

from ml.methods.leak_data import leak_frames, with_injected_errors
from tests.small_firm import FIRST, LAST, Firm, lines, write_csv


def test_the_same_errors_are_planted_wherever_the_same_lines_were_loaded(tmp_path: Path) -> None:
    planted = []
    for name, rows in (("straight", lines()), ("turned", lines()[::-1])):
        firm = Firm(tmp_path / name)
        write_csv(firm.export_folder, "invoice_lines", rows)
        workspace = firm.on()
        workspace.ingest("run-1")
        read = leak_frames(workspace.snapshot(), LAST)["lines"]
        workspace.engine.dispose()
        planted.append(with_injected_errors(read, FIRST)[1])
    assert planted[0].equals(planted[1])
