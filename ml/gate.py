"""The gate: whether a candidate may become champion, and the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml.methods.method import Comparison
from ml.models.spec import Gate


@dataclass(frozen=True)
class GateVerdict:
    """Whether the candidate passed, and one sentence for each thing that was compared."""

    passed: bool
    reasons: tuple[str, ...]


def judge_candidate(
    gate: Gate,
    comparison: Comparison,
    champion: tuple[Comparison, Comparison] | None,
    has_champion: bool,
) -> GateVerdict:
    """Compare a candidate with the naive baseline and with the champion.

    ``champion`` holds the candidate's and the champion's figures on the same later data: days
    that the champion's training did not know. Where there is a champion but no such data yet,
    it stays: nothing would show that the candidate is better.
    """
    checks = [
        _better(name, higher, comparison.ours, comparison.baseline, gate.baseline)
        for name, higher in _compared(gate).items()
    ]
    for name, limit in gate.limits.items():
        value = comparison.ours[name]
        checks.append((value <= limit, f"{name} {value:.4g}, allowed at most {limit:.4g}"))
    if has_champion and champion is None:
        checks.append((False, "no data later than what the champion knew, so it stays"))
    elif champion is not None:
        candidate, reigning = champion
        checks.append(
            _better(
                gate.metric, gate.higher_is_better, candidate.ours, reigning.ours, "the champion"
            )
        )
    return GateVerdict(
        passed=all(passed for passed, _ in checks),
        reasons=tuple(text if passed else f"FAILED: {text}" for passed, text in checks),
    )


def _compared(gate: Gate) -> dict[str, bool]:
    return {gate.metric: gate.higher_is_better, **gate.also_better}


def _better(
    name: str,
    higher: bool,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    whom: str,
) -> tuple[bool, str]:
    mine, other = ours[name], theirs[name]
    passed = mine > other if higher else mine < other
    return passed, f"{name} {mine:.4g} against {other:.4g} of {whom}"
