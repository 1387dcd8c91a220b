"""What the detector remembers of the firm, so that a single item can be judged as among all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from ml.estimators.leak_frames import places

_LINE_STATE = ["line_id", "client_id", "service_id", "invoice_id", "day", "quantity", "unit_price"]


@dataclass(frozen=True)
class LeakMemory:
    """The latest ``lines`` and ``work`` entries (None: the firm had none), in plain form."""

    lines: pd.DataFrame
    work: pd.DataFrame | None

    @classmethod
    def of(cls, lines: pd.DataFrame, work: pd.DataFrame | None, most: int) -> Self:
        """The newest ``most`` of each, in the order given."""
        return cls(_latest(lines[_LINE_STATE], most), None if work is None else _latest(work, most))

    def beside_lines(
        self, given: pd.DataFrame, work: pd.DataFrame | None
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """The lines given with the remembered ones that they are compared with, and their places:
        those of the clients and services given, and where credits are among them, all."""
        kept = self.lines
        if not (given["quantity"] < 0).any():
            near = np.zeros(len(kept), dtype=bool)
            for name in ("client_id", "service_id"):
                asked = [frame[name] for frame in (given, work) if frame is not None]
                near |= places(kept[name], pd.Index(pd.concat(asked).unique())) >= 0
            kept = kept[near]
        return _among(given, kept, "line_id")

    def beside_work(self, given: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """The entries given with the remembered ones of their clients, and their places: the line
        of another entry may hold this one too."""
        if self.work is None:
            return given, np.arange(len(given))
        near = places(self.work["client_id"], pd.Index(given["client_id"].unique())) >= 0
        return _among(given, self.work[near], "entry_id")

    def save(self, folder: Path) -> None:
        """Write memory.parquet and, where there is work, work.parquet."""
        self.lines.to_parquet(folder / "memory.parquet", index=False)
        if self.work is not None:
            self.work.to_parquet(folder / "work.parquet", index=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What ``save`` wrote; versions from before entries were remembered have no work."""
        work = folder / "work.parquet"
        return cls(
            pd.read_parquet(folder / "memory.parquet"),
            pd.read_parquet(work) if work.exists() else None,
        )


def _latest(items: pd.DataFrame, most: int) -> pd.DataFrame:
    by_day = np.argsort(items["day"].to_numpy(), kind="stable")
    latest = np.sort(by_day[max(len(by_day) - most, 0) :])
    return items.iloc[latest].reset_index(drop=True)


def _among(given: pd.DataFrame, kept: pd.DataFrame, key: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows given with the remembered ones of other ids, and where the given stand in that.

    What lies on one day is compared in the order of the rows. So a few given ones take the places
    that they had among many remembered, and one row alone finds what it found among all.
    """
    number, ids = pd.factorize(kept[key])
    at = places(given[key], ids)
    again = np.zeros(len(ids) + 1, dtype=bool)  # the last one: of rows not remembered
    again[at] = True
    left = np.nonzero(~again[number])[0]
    if not len(left):
        return given, np.arange(len(given))
    context = pd.concat([given, kept.iloc[left]], ignore_index=True)
    if len(given) >= len(left):
        return context, np.arange(len(given))
    first = np.full(len(ids) + 1, len(kept))
    first[number[::-1]] = np.arange(len(kept))[::-1]
    order = np.argsort(np.r_[first[at], left], kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return context.iloc[order].reset_index(drop=True), place[: len(given)]
