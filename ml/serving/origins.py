"""Where the inputs of a client model came from: stored, given, or not there."""

from __future__ import annotations

from collections.abc import Collection

from ml.estimators.tabular import TabularEncoder
from ml.serving.base import Features, Inputs


class Origins:
    """Says of features which of a version's columns they are; the lists are in order of names."""

    def __init__(self, encoder: TabularEncoder) -> None:
        self._encoder = encoder
        self._names = tuple(sorted(encoder.columns))

    def of(self, values: Features, given: Features) -> Inputs:
        """Of all values, some of them ``given``; the others are stored."""
        return self.told(values.keys(), given.keys(), self._encoder.unseen_in(values))

    def told(
        self, there: Collection[str], given: Collection[str], unseen: Collection[str]
    ) -> Inputs:
        """The same by names; those ``given`` may be among those ``there`` or not."""
        if len(given) == len(self._names):
            return Inputs((), self._names, (), tuple(sorted(unseen)))
        stored = tuple(name for name in self._names if name in there and name not in given)
        if len(stored) == len(self._names):
            return Inputs(self._names, (), (), tuple(sorted(unseen)))  # one tuple for all clients
        missing = tuple(name for name in self._names if name not in there and name not in given)
        return Inputs(stored, tuple(sorted(given)), missing, tuple(sorted(unseen)))
