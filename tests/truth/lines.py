"""What a model of the sample firm must reach: the one place where the figures stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Fixed before any look at them and never used in tuning, which was done on 1 to 40.
SEEDS = (1404, 2505, 3606)

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Bound:
    """The least or the most that a figure may be."""

    figure: str
    least: float = -float("inf")
    most: float = float("inf")

    def missed(self, figures: Figures) -> str | None:
        """In words where the figure lies outside, or is not a number; else None."""
        value = figures[self.figure]
        if self.least <= value <= self.most:
            return None
        return f"{self.figure} is {value:.3f}, allowed are {self.least:g} to {self.most:g}"


LINES: dict[str, tuple[Bound, ...]] = {
    # (AUC - .5) of the model by that of the true probabilities
    "churn": (Bound("share_of_attainable", least=0.9),),
    # among as many findings as there are open leaks
    "leaks": (Bound("leaked_value_found", least=0.9), Bound("precision", least=0.8)),
    # of 80 % intervals
    "pricing": (
        Bound("coverage", least=0.70, most=0.95),
        Bound("refused", most=0.30),
        Bound("median_width", most=1.0),
    ),
    "budget": (
        Bound("largest_error", most=0.15),
        Bound("share_of_possible_gain", least=0.70),
    ),
    "demand": (Bound("series_better_than_naive", least=0.80), Bound("mean_mase", most=0.9)),
    "anomaly": (Bound("recall", least=0.8),),
}


def misses(line: str, figures: Figures) -> list[str]:
    """What keeps the figures from passing the line; empty where they pass."""
    return [said for bound in LINES[line] if (said := bound.missed(figures)) is not None]
