"""What a model is: one declaration from which its assets, table, routes and docs all come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from ml.serving.base import Serving

RESERVED_NAMES = frozenset(
    {"models", "jobs", "health", "predictions", "schedules"}
    | {"admin", "webhooks", "monitoring", "metrics"}
)


class Decision(BaseModel):
    """Base of every model's decision: the columns of one scored row beside the key."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Query(BaseModel):
    """Base of every model's on-demand request body; unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


@dataclass(frozen=True)
class Gate:
    """When a candidate may become champion.

    It must beat the naive baseline, and the champion on the same later data, in ``metric``;
    ``limits`` bounds further metrics from above whatever the comparison says. ``tolerance`` is
    how much worse than the baseline still passes (0 for all but "never worse" gates).
    """

    metric: str
    baseline: str
    higher_is_better: bool = True
    also_better: Mapping[str, bool] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """How decisions are drawn: ``bars`` of ``values[0]`` (with an interval in ``low``, ``high``),
    ``pairs`` of several values side by side, or a ``forecast`` over the dates of ``label``."""

    kind: Literal["bars", "pairs", "forecast"]
    label: str
    values: tuple[str, ...]
    low: str | None = None
    high: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The declaration of one model.

    ``needs`` lists alternatives: the model is available where every table of one of them is
    there. ``method``, ``serving`` and ``estimator`` are ``"module:Class"``, imported when first
    used, so that reading a spec loads neither pandas nor LightGBM. ``metrics`` names, for each
    reported metric, whether higher is better. ``act_first`` sorts decisions, those to act on first
    (``-column`` for descending); ``picture`` says how they are drawn. ``format`` numbers the files
    that a training saves: it rises when they change in a way that loading cannot follow, so that
    versions from before are refused in words. ``clients_are`` names the rows whose entity is a
    client, where ``Decision`` has no ``client_id``.
    """

    name: str
    title: str
    question: str
    decides: str
    entity: tuple[str, ...]
    row: str
    needs: tuple[frozenset[str], ...]
    uses: frozenset[str]
    horizon_days: int
    method: str
    serving: str
    estimator: str
    gate: Gate
    metrics: Mapping[str, bool]
    value: str
    act_first: tuple[str, ...]
    picture: Picture
    Query: type[Query]
    Decision: type[Decision]
    owner: str = "team:sevenfold"
    format: int = 1
    clients_are: Mapping[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in RESERVED_NAMES:
            raise ValueError(
                f"a model may not be named {self.name!r}: use a Python identifier"
                f" other than {sorted(RESERVED_NAMES)}"
            )
        missing = set(self.entity) - set(self.Decision.model_fields)
        if missing:
            raise ValueError(f"{self.name}: Decision lacks the key columns {sorted(missing)}")

    @property
    def route(self) -> str:
        """The name in URLs and on the command line."""
        return self.name.replace("_", "-")

    @property
    def entity_column(self) -> str:
        """The key column that ids in URLs and on the command line are of."""
        return next((name for name in self.entity if name.endswith("_id")), self.entity[0])

    def rows_of_client(self, client_id: str) -> dict[str, str] | None:
        """What the rows on one client have in their columns; None where none are on clients."""
        if self.clients_are is not None:
            return {self.entity_column: client_id, **self.clients_are}
        return {"client_id": client_id} if "client_id" in self.Decision.model_fields else None

    @property
    def scores_table(self) -> str:
        """The warehouse table of its decisions."""
        return f"{self.name}_scores"

    def lacking(self, tables: Collection[str]) -> str | None:
        """None where the model is available, else one sentence naming what is missing."""
        gaps = [need - set(tables) for need in self.needs]
        if not all(gaps):
            return None
        # a way that another one is part of would only be longer
        shortest = [gap for gap in dict.fromkeys(gaps) if not any(other < gap for other in gaps)]
        ways = " or ".join(" and ".join(sorted(gap)) for gap in shortest)
        return f"{self.title} is not available: the source lacks {ways}."

    def serving_class(self) -> type[Serving]:
        """What answers on-demand queries with a version of the model, imported now."""
        found: type[Serving] = load(self.serving)
        return found

    def estimator_class(self) -> Any:
        """The estimator's class, imported now."""
        return load(self.estimator)


@cache
def load(path: str) -> Any:
    """The object that ``"module:name"`` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
