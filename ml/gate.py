"""The gate: whether a candidate may become champion, and the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.methods.method import Comparison
    from ml.models.spec import Gate


@dataclass(frozen=True)
class GateVerdict:
    """Whether the candidate passed, one sentence for each thing compared, and those that failed."""

    passed: bool
    reasons: tuple[str, ...]
    failed: tuple[str, ...] = ()

    @property
    def markdown(self) -> str:
        """The reasons as a list in which those that failed stand out."""
        return "\n".join(
            f"- {'**not passed:** ' if text in self.failed else ''}{text}" for text in self.reasons
        )


def why_not(version: str, gate: Mapping[str, Any]) -> str:
    """Why a version is not champion, from its stored verdict: only what failed, no full stop."""
    if gate["passed"]:
        return f"{version} passed the gate but is not champion (`sevenfold models promote`)"
    return f"{version} did not pass the gate: {'; '.join(gate.get('failed') or gate['reasons'])}"


def judge_candidate(
    gate: Gate,
    comparison: Comparison,
    champion: tuple[Comparison, Comparison] | None,
    has_champion: bool,
) -> GateVerdict:
    """Compare a candidate with the naive baseline and with the champion.

    ``champion`` holds the candidate's and the champion's figures on the same later data: days
    that the champion's training did not know. Where there is a champion but no such data yet,
    it stays: nothing would show that the candidate is better. Being equal is not being better:
    the naive rule is simpler, and the champion is known.
    """
    checks = [
        _better(name, higher, comparison.ours, comparison.baseline, gate.baseline)
        for name, higher in _compared(gate).items()
    ]
    for name, limit in gate.limits.items():
        value = comparison.ours[name]
        shown, allowed = _apart(value, limit)
        checks.append((value <= limit, f"{name} {shown}, at most {allowed} is allowed"))
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
        reasons=tuple(text for _, text in checks),
        failed=tuple(text for passed, text in checks if not passed),
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
    shown, rival = _apart(mine, other)
    if passed:
        return True, f"{name} {shown} against {rival} of {whom}"
    return False, f"{name} {shown} is not better than {whom} ({rival})"


def _apart(a: float, b: float) -> tuple[str, str]:
    """Both figures with as many digits, four or more, as tell them apart."""
    for digits in range(4, 17):
        texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{a:.4g}", f"{b:.4g}"
