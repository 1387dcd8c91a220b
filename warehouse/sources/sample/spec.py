"""The text that names a sample firm: ``sample[:clients=N,seed=S,end=DATE]``."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from warehouse.sources.errors import SourceError
from warehouse.sources.sample.days import EPOCH, SHORTEST

DEFAULT_CLIENTS, DEFAULT_SEED = 1000, 7
FEWEST, MOST = 20, 1_000_000
_FORM = "sample[:clients=N,seed=S,end=YYYY-MM-DD]"


class SampleSpecError(SourceError, ValueError):
    """A sample firm that cannot be made; the message says what was given and what is possible."""


@dataclass(frozen=True)
class SampleSpec:
    """How many clients, which seed, which last day (None: yesterday, whenever that is)."""

    clients: int = DEFAULT_CLIENTS
    seed: int = DEFAULT_SEED
    end: dt.date | None = None

    def __post_init__(self) -> None:
        if not FEWEST <= self.clients <= MOST:
            raise SampleSpecError(
                f"the sample firm has {FEWEST} to {MOST:,} clients, got clients={self.clients}"
            )
        if self.seed < 0:
            raise SampleSpecError(f"the sample firm's seed is 0 or more, got seed={self.seed}")
        if self.end is not None and self.end < shortest_end():
            raise SampleSpecError(
                f"the sample firm's books begin on {EPOCH} and need {SHORTEST} days, so the "
                f"earliest end is {shortest_end()}, got end={self.end}"
            )


def shortest_end() -> dt.date:
    """The earliest day on which the books may end."""
    return EPOCH + dt.timedelta(days=SHORTEST)


def parse(text: str) -> SampleSpec:
    """Read ``sample[:clients=N,seed=S,end=DATE]``; :class:`SampleSpecError` names what is wrong."""
    head, colon, rest = text.strip().partition(":")
    if head != "sample":
        raise SampleSpecError(f"expected {_FORM}, got {text!r}")
    if colon and not rest:
        raise SampleSpecError(f"nothing after the colon in {text!r}; expected {_FORM}")
    given: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in ("clients", "seed", "end"):
            raise SampleSpecError(
                f"{part.strip()!r} in {text!r} is not clients=N, seed=S or end=YYYY-MM-DD"
            )
        if name in given:
            raise SampleSpecError(f"{name} is given twice in {text!r}")
        given[name] = value
    return SampleSpec(
        clients=_whole(given.get("clients"), "clients", DEFAULT_CLIENTS, text),
        seed=_whole(given.get("seed"), "seed", DEFAULT_SEED, text),
        end=_date(given.get("end"), text),
    )


def _whole(value: str | None, name: str, default: int, text: str) -> int:
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise SampleSpecError(f"{name} is a whole number, got {value!r} in {text!r}") from None


def _date(value: str | None, text: str) -> dt.date | None:
    if value is None:
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise SampleSpecError(f"end is a date like 2026-01-31, got {value!r} in {text!r}") from None
