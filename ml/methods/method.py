"""The seven steps that every model has, whatever it learns.

A method is stateless: data in, values out. What was learned is a ``Fitted`` that can be saved
to a folder and loaded again, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec
    from warehouse.snapshot import Snapshot

Frames = Mapping[str, pd.DataFrame]
"""What a decision reads, known by the end of one day: named frames."""


class Fitted(Protocol):
    """What was learned."""

    def save(self, folder: Path) -> None:
        """Write text, JSON, Parquet or npz files, never pickle."""


@dataclass(frozen=True)
class Judged:
    """Past decisions beside what really happened and what the naive baseline would have said.

    ``basis`` says how the decisions were made: by a model that knew nothing later (temporal
    holdout), by grouped cross-validation, on injected errors, or stored by a live run.
    """

    frame: pd.DataFrame
    basis: str


@dataclass(frozen=True)
class Comparison:
    """Metrics of the model and of the naive baseline on the same rows."""

    ours: Mapping[str, float]
    baseline: Mapping[str, float]
    rows: int
    basis: str


@dataclass(frozen=True)
class Value:
    """What the decisions were worth in money, on later data; ``reason`` where not measurable."""

    amount: float | None
    baseline_amount: float | None = None
    low: float | None = None
    high: float | None = None
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


class Method(ABC):
    """How one kind of model learns, decides and is judged."""

    def __init__(self, spec: ModelSpec, settings: MlSettings | None = None) -> None:
        self.spec = spec
        self.settings = settings or MlSettings()

    @abstractmethod
    def learn(self, data: Snapshot, as_of: date) -> Fitted:
        """Learn from what was known by the end of ``as_of`` and nothing later.

        Raises NotEnoughDataError where the source has too little.
        """

    @abstractmethod
    def load(self, folder: Path) -> Fitted:
        """What ``Fitted.save`` wrote."""

    @abstractmethod
    def inputs(self, data: Snapshot, days: Sequence[date]) -> Mapping[date, Frames]:
        """What decisions of these days read, each as known by the end of its day."""

    @abstractmethod
    def decide(self, fitted: Any, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        """One row a decision: the key and the ``Decision`` columns.

        ``reasons`` is ``all``, ``none`` or ``top:N`` by value at stake.
        """

    @abstractmethod
    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        """Decisions on past days by a model that knew nothing later, with their outcomes.

        Without ``fitted`` a model is learned as it could have been before the judged days; with
        it (a champion) that one is judged. Only days later than ``after`` count; None where no
        such day has an outcome yet.
        """

    @abstractmethod
    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        """Stored decisions (with ``as_of``) with the outcomes known by ``through``.

        None where no outcome is known yet.
        """

    @abstractmethod
    def compare(self, judged: Judged) -> Comparison:
        """The metrics that the spec declares, ours and the baseline's."""

    def dates(self, judged: Judged) -> pd.Series:
        """The days that the figures and the value are about."""
        dates: pd.Series = judged.frame["as_of"]
        return dates

    @abstractmethod
    def value(self, judged: Judged) -> Value:
        """The value in money of the judged decisions."""

    @abstractmethod
    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        """What on-demand calls by id read: columns ``entity`` (text) and ``features`` (dict)."""

    @abstractmethod
    def monitored(self, inputs: Frames) -> pd.DataFrame:
        """The columns whose distribution drift checks watch, one row an observation."""
