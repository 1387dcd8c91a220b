"""Prints every line's figures as a Markdown table: python -m tests.truth.table [SEED …]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.truth.firms import Firms
from tests.truth.lines import LINES, SEEDS, misses
from tests.truth.ways import measure


def main(seeds: list[int]) -> None:
    """One row a line, way and seed."""
    print("| line | seed | by | figures | passes |\n|---|---|---|---|---|")
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            firms = Firms(Path(folder))
            for line in LINES:
                for way in ("model", "oracle", "shuffled"):
                    figures = measure(line, way)(firms, seed)
                    shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
                    passes = "no" if misses(line, figures) else "yes"
                    print(f"| {line} | {seed} | {way} | {shown} | {passes} |", flush=True)
            firms.close()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(SEEDS))
