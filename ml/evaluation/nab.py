"""The scorer of the Numenta Anomaly Benchmark's standard profile, written from its description.

After Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms" (2015): a detection
inside a labelled window earns more the earlier it is, only the best of a window counts, one outside
costs, less just after a window; the first 15 % of a file (at most 750 rows) do not count. One
threshold serves all files. 0 is a detector that says nothing, 100 one that is perfect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_TRUE_POSITIVE, _FALSE_POSITIVE, _FALSE_NEGATIVE = 1.0, 0.11, 1.0
_PROBATION, _LONGEST = 0.15, 5000


@dataclass(frozen=True)
class NabScore:
    """The normalised score, the threshold that gave it (a detection is a score at or above it), and
    how many windows and false positives it found."""

    score: float
    threshold: float
    windows_found: int
    windows: int
    false_positives: int


def nab_score(
    scores: Mapping[str, np.ndarray],
    windows: Mapping[str, Sequence[tuple[int, int]]],
    threshold: float | None = None,
) -> NabScore:
    """Score a detector on a corpus at the threshold that suits it best, or at the one given.

    ``scores`` holds one array a file, one score a row; ``windows`` the first and last row
    (inclusive) of each labelled window of the file.
    """
    levels, gains, hits, false = [], [], [], []
    total = 0
    for name in sorted(scores):
        spans = list(windows.get(name, ()))
        total += len(spans)
        for level, gain, hit, wrong in _events(np.asarray(scores[name], dtype=float), spans):
            levels.append(level)
            gains.append(gain)
            hits.append(hit)
            false.append(wrong)
    level, gain = np.concatenate(levels), np.concatenate(gains)
    hit, wrong = np.concatenate(hits), np.concatenate(false)
    order = np.argsort(-level, kind="stable")
    level = level[order]
    running = np.cumsum(gain[order]) - _FALSE_NEGATIVE * total
    last = np.r_[level[1:] != level[:-1], True]
    if threshold is None:
        ends = np.nonzero(last)[0]
        best = int(ends[np.argmax(running[ends])])
    else:
        best = int((level >= threshold).sum()) - 1
    if best < 0 or (threshold is None and running[best] <= -_FALSE_NEGATIVE * total):
        return NabScore(0.0, np.inf, 0, total, 0)
    span = (_TRUE_POSITIVE + _FALSE_NEGATIVE) * total
    return NabScore(
        score=100.0 * float(running[best] + _FALSE_NEGATIVE * total) / span,
        threshold=float(level[best]),
        windows_found=int(hit[order][: best + 1].sum()),
        windows=total,
        false_positives=int(wrong[order][: best + 1].sum()),
    )


Events = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _events(score: np.ndarray, spans: list[tuple[int, int]]) -> list[Events]:
    """What each row changes when the threshold falls to its score: gain, window found, false."""
    rows = len(score)
    first = int(np.floor(_PROBATION * min(rows, _LONGEST)))
    inside = np.zeros(rows, dtype=bool)
    past = np.full(rows, np.inf)  # place behind the last window, in widths of it
    found: list[Events] = []
    for start, end in sorted(spans):
        width = end - start + 1
        after = np.arange(end + 1, rows)
        past[after] = (after - end) / max(width - 1, 1)
        inside[start : end + 1] = True
        at = np.arange(max(start, first), end + 1)
        value = _sigmoid(-(end - at + 1) / width) / _sigmoid(np.array(-1.0)) * _TRUE_POSITIVE
        order = np.lexsort((at, -score[at]))
        best = np.maximum.accumulate(value[order]) + _FALSE_NEGATIVE
        gain = np.diff(np.r_[0.0, best])
        hit = np.arange(len(at)) == 0
        found.append((score[at][order], gain, hit, np.zeros(len(at), dtype=bool)))
    out = np.nonzero(~inside & (np.arange(rows) >= first))[0]
    cost = np.where(past[out] > 3.0, -1.0, _sigmoid(np.minimum(past[out], 3.0))) * _FALSE_POSITIVE
    none, all_ = np.zeros(len(out), dtype=bool), np.ones(len(out), dtype=bool)
    found.append((score[out], cost, none, all_))
    return found


def _sigmoid(place: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * place)) - 1.0)


def windowed_gaussian(values: np.ndarray, window: int = 6400, step: int = 100) -> np.ndarray:
    """The benchmark's own baseline: one minus the tail of a normal fitted to a moving window."""
    from scipy.special import ndtr

    out = np.zeros(len(values))
    start, stop = 0, 0
    mean, deviation = 0.0, 1.0
    buffer: list[float] = []
    for row, value in enumerate(values):
        if row:
            tail = float(ndtr(-abs(value - mean) / deviation))
            out[row] = 1.0 - tail
        if len(values[start:row]) < window:
            stop = row + 1
            mean, deviation = _moments(values[start:stop])
        else:
            buffer.append(float(value))
            if len(buffer) == step:
                start, stop = start + step, stop + step
                mean, deviation = _moments(values[start:stop])
                buffer = []
    return out


def _moments(values: np.ndarray) -> tuple[float, float]:
    deviation = float(np.std(values))
    return float(np.mean(values)), deviation if deviation > 0 else 1e-6
