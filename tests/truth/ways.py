"""Every line, measured three ways: the model, an oracle, and the model on shuffled labels."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from tests.truth import anomaly, budget, churn, demand, leaks, pricing
from tests.truth.firms import Firms
from tests.truth.lines import LINES, Figures

Measure = Callable[[Firms, int], Figures]
_MODULES: dict[str, ModuleType] = {
    "churn": churn,
    "leaks": leaks,
    "pricing": pricing,
    "budget": budget,
    "demand": demand,
    "anomaly": anomaly,
}
assert list(_MODULES) == list(LINES)


def measure(line: str, way: str) -> Measure:
    """How the ``model``, the ``oracle`` or the ``shuffled`` one of a line is measured."""
    found: Measure = getattr(_MODULES[line], way)
    return found
