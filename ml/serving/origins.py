"""Where the inputs of a client model came from: stored, given, or not there."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache, partial

from ml.estimators.tabular import TabularEncoder
from ml.serving.base import Features, Inputs

KINDS = 128
"""Sets of inputs whose lists are kept: those of the questions of a firm are few and alike."""


class Origins:
    """Says of features which of a version's columns they are; the lists are in order of names."""

    def __init__(self, encoder: TabularEncoder) -> None:
        self._encoder = encoder
        self._names = tuple(sorted(encoder.columns))
        # Of the names, not of this, so that a version that is replaced is freed at once.
        self._placed = lru_cache(KINDS)(partial(_placed, self._names))

    def of(self, values: Features, given: Features) -> Inputs:
        """Of all values, some of them ``given``; the others are stored."""
        return self.told(values.keys(), given.keys(), self._encoder.unseen_in(values))

    def told(
        self, there: Collection[str], given: Collection[str], unseen: Collection[str]
    ) -> Inputs:
        """The same by names; those ``given`` may be among those ``there`` or not."""
        if len(given) == len(self._names):
            return Inputs((), self._names, (), tuple(sorted(unseen)))
        return Inputs(*self._placed(frozenset(there), frozenset(given)), tuple(sorted(unseen)))


def _placed(
    names: tuple[str, ...], there: frozenset[str], given: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The names that are stored, given and missing."""
    return (
        tuple(name for name in names if name in there and name not in given),
        tuple(sorted(given)),
        tuple(name for name in names if name not in there and name not in given),
    )
