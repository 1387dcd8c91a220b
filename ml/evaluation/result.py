"""One row of the open data sets' table: our figure, the published one, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """A measured figure on an open data set.

    ``floor`` is the least figure we accept (the most, where ``higher_is_better`` is false).
    ``protocol`` names split, folds, seeds, controls and K in one line.
    """

    dataset: str
    model: str
    metric: str
    ours: float
    floor: float | None
    published: str
    protocol: str
    higher_is_better: bool = True

    @property
    def holds(self) -> bool:
        """Whether the figure reaches its floor; true where there is none."""
        if self.floor is None:
            return True
        return self.ours >= self.floor if self.higher_is_better else self.ours <= self.floor
