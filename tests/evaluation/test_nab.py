"""The NAB score gives what its definition says, and its baseline finds an outlier."""

from __future__ import annotations

import numpy as np
import pytest

from ml.evaluation.nab import nab_score, windowed_gaussian


def test_nab_gives_100_to_the_perfect_and_0_to_the_silent_detector() -> None:
    spans = {"a": [(400, 449)], "b": [(500, 519), (700, 719)]}
    perfect = {name: np.zeros(1000) for name in spans}
    for name, windows in spans.items():
        for start, _ in windows:
            perfect[name][start] = 1.0
    assert nab_score(perfect, spans).score == pytest.approx(100.0)
    assert nab_score({name: np.zeros(1000) for name in spans}, spans, threshold=1.0).score == 0.0


def test_nab_charges_false_positives_and_late_detections() -> None:
    spans = {"a": [(400, 499)]}
    late, false = np.zeros(1000), np.zeros(1000)
    late[499] = 1.0
    false[400], false[900] = 1.0, 1.0
    # The last row of a window of 100 lies at -1/100: sigmoid 0.025 of the best 0.987.
    early = 2 / (1 + np.exp(-5.0)) - 1
    assert nab_score({"a": late}, spans, 1.0).score == pytest.approx(
        100 * (1 + (2 / (1 + np.exp(-0.05)) - 1) / early) / 2
    )
    assert nab_score({"a": false}, spans, 1.0).score == pytest.approx(100 * (2 - 0.11) / 2)


def test_windowed_gaussian_finds_the_outlier() -> None:
    values = np.random.default_rng(0).normal(size=500)
    values[300] = 12.0
    assert int(np.argmax(windowed_gaussian(values)[50:])) == 250
