"""Which entities have a row at which date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml.features.declarations import Answers
from ml.features.events import EventTable
from ml.features.requests import NO_DAY, Extreme, Request, State


class Population(Protocol):
    """A rule that says who is in at each date."""

    def needs(self) -> tuple[Request, ...]:
        """The aggregates the rule reads."""

    def member(self, answers: Answers, dates: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Booleans of shape (dates, entities)."""


@dataclass(frozen=True)
class Active:
    """Entities with an event in the last ``within_days`` days (None: ever) up to as_of."""

    table: EventTable
    within_days: int | None = 365
    where: str | None = None

    def needs(self) -> tuple[Request, ...]:
        return (Extreme(self.table, "last", self.where),)

    def member(self, answers: Answers, dates: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        last = answers[self.needs()[0]]
        if self.within_days is None:
            return last != NO_DAY
        recent: npt.NDArray[Any] = last > (dates - np.int32(self.within_days))[:, None]
        return recent


@dataclass(frozen=True)
class Known:
    """Entities of which a versioned table, such as clients, has a valid row at as_of."""

    table: str = "clients"

    def needs(self) -> tuple[Request, ...]:
        return (State(self.table),)

    def member(self, answers: Answers, dates: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = answers[self.needs()[0]] >= 0
        return found
