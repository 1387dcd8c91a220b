"""One row of the open data sets' table: our figure, the published one, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Result:
    """A measured figure on an open data set.

    ``floor`` is the least figure we accept (the most, where ``higher_is_better`` is false).
    ``protocol`` names split, folds, seeds, controls and K in one line. ``ours`` is None where the
    data set is absent; ``protocol`` then says which.
    """

    dataset: str
    model: str
    metric: str
    ours: float | None
    floor: float | None
    published: str
    protocol: str
    higher_is_better: bool = True

    @classmethod
    def skip(cls, model: str, reason: str) -> Self:
        """The row of a model that was not measured, and why."""
        return cls("-", model, "-", None, None, "-", f"skipped: {reason}")

    @property
    def skipped(self) -> bool:
        """Whether nothing was measured."""
        return self.ours is None

    @property
    def holds(self) -> bool:
        """Whether the figure reaches its floor; true where there is none, or nothing measured."""
        if self.floor is None or self.ours is None:
            return True
        return self.ours >= self.floor if self.higher_is_better else self.ours <= self.floor
