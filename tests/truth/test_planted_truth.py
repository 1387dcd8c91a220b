"""Every model finds what was planted; one that knows the truth does, one that learned noise never.

Three seeds that nothing was tuned on. What is measured and how stands in one module a line, the
figures to reach in ``lines.py``.
"""

from __future__ import annotations

import pytest

from tests.truth.firms import Firms
from tests.truth.lines import LINES, SEEDS, misses
from tests.truth.ways import measure

pytestmark = pytest.mark.long

# Tests go to workers by file, so one process makes each firm once.
EVERY = pytest.mark.parametrize(
    ("line", "seed"),
    [pytest.param(line, seed, id=f"{line}-{seed}") for seed in SEEDS for line in LINES],
)


@EVERY
def test_the_model_reaches_the_line(line: str, seed: int, firms: Firms) -> None:
    figures = measure(line, "model")(firms, seed)
    assert misses(line, figures) == [], figures


@EVERY
def test_an_oracle_passes(line: str, seed: int, firms: Firms) -> None:
    figures = measure(line, "oracle")(firms, seed)
    assert misses(line, figures) == [], figures


@EVERY
def test_shuffled_labels_fail(line: str, seed: int, firms: Firms) -> None:
    figures = measure(line, "shuffled")(firms, seed)
    assert misses(line, figures), figures
