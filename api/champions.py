"""The champions that serve: loaded beside the old ones, and swapped in when they are whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from api.logs import logger
from api.metrics import Metrics
from api.problems import Problem
from api.threads import Threads
from ml.artifacts import DamagedArtifactError
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import OtherFormatError
from ml.serving.base import Serving
from ml.settings import MlSettings
from warehouse.database import reading
from warehouse.objects import StoreError
from warehouse.points import Day
from warehouse.repositories import data_versions, models, scores

REFRESH_SECONDS = 1.0
AGAIN_SECONDS = 5.0
"""How long a champion that cannot be loaded is left before it is tried again."""


@dataclass(frozen=True, slots=True)
class Champion:
    """A version that can answer; ``serving`` is None where a worker process loads it."""

    version: str
    schema_hash: str
    folder: Path
    serving: Serving | None


@dataclass(frozen=True, slots=True)
class State:
    """What serves a model, which version the log names, and why that one does not serve."""

    champion: Champion | None = None
    named: str | None = None
    problem: Problem | None = None
    tried_at: float = float("-inf")

    @property
    def code(self) -> str:
        """``ok``, ``no_champion``, or what is wrong with the version that the log names."""
        if self.problem is not None:
            return self.problem.code
        return "ok" if self.champion is not None else "no_champion"


@dataclass(frozen=True, slots=True)
class Known:
    """The newest data: the day that on-demand answers without stored features are as of."""

    as_of: date
    data_version: str


class Champions:
    """The present champion of each model; a request only looks one up.

    ``refresh`` follows the promotion log. A new version is read and checked in a thread while the
    old one goes on answering; one that is damaged never replaces one that works.
    """

    def __init__(
        self,
        workspace: Workspace,
        metrics: Metrics,
        readers: Threads,
        loaders: Threads,
        check: Callable[[ModelSpec, Path], Awaitable[None]],
    ) -> None:
        """``check`` lets a worker load a version and raises where it cannot."""
        self._workspace = workspace
        self._metrics = metrics
        self._readers, self._loaders = readers, loaders
        self._check = check
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._states = {name: State() for name in workspace.registry}
        self._known: Known | None = None
        self._days: dict[str, Day] = {}
        self._refreshing = asyncio.Lock()
        self.log = logger("champions")

    @property
    def settings(self) -> MlSettings:
        """The settings of the models that are served."""
        return self._workspace.ml

    def state(self, spec: ModelSpec) -> State:
        """What serves a model now."""
        return self._states[spec.name]

    def champion(self, spec: ModelSpec) -> Champion:
        """The version that answers; Problem 503 where there is none."""
        state = self._states[spec.name]
        if state.champion is not None:
            return state.champion
        if state.problem is not None:
            raise _fresh(state.problem)
        raise Problem(503, "no_champion", f"{spec.title} has no champion yet, so it is silent.")

    @property
    def known(self) -> Known:
        """The newest data; Problem 503 before the first ingestion."""
        if self._known is None:
            raise Problem(503, "no_champion", "Nothing was ingested yet, so every model is silent.")
        return self._known

    def day(self, spec: ModelSpec) -> Day | None:
        """The newest scored day of a model, at most a moment old; its stored features are of it."""
        return self._days.get(spec.name)

    async def refresh(self) -> None:
        """Follow the newest data, and begin to load what the log names anew."""
        async with self._refreshing:
            named = await self._readers.run(self._read)
            for spec in self._workspace.registry.values():
                state = self._states[spec.name]
                version = named.get(spec.name)
                waits = state.problem is None or time.monotonic() < state.tried_at + AGAIN_SECONDS
                under_way = self._loading.get(spec.name)
                if (version == state.named and waits) or (under_way and not under_way.done()):
                    continue
                self._loading[spec.name] = asyncio.create_task(self._follow(spec, version, state))

    async def loaded(self) -> None:
        """Wait until all that is being loaded serves or is refused."""
        await asyncio.gather(*self._loading.values())

    async def _follow(self, spec: ModelSpec, version: str | None, state: State) -> None:
        after = await self._loaders.run(self._next, spec, version, state)
        new = after.champion
        if new is not None and new.serving is None and state.champion is not None:
            # What only workers load must not replace what works before one of them has.
            try:
                await self._check(spec, new.folder)
            except (Problem, RuntimeError, OSError) as error:
                after = self._refused(spec, new.version, state, error)
        self._states[spec.name] = after
        self._tell(spec, state, after)

    def _read(self) -> Mapping[str, str | None]:
        with reading(self._workspace.engine) as connection:
            named = models.champions(connection)
            newest = data_versions.newest(connection)
            days = {name: scores.newest_day(connection, name) for name in self._states}
        if newest is not None:
            self._known = Known(self._workspace.as_of(newest), newest.snapshot)
        today = self._workspace.clock().date()
        for name, day in days.items():
            if day is not None:
                self._days[name] = Day(day.as_of, day.run_id)
                self._metrics.features_of(name, day.as_of, today)
        return named

    def _next(self, spec: ModelSpec, version: str | None, state: State) -> State:
        if version is None:
            return State()
        try:
            champion = self._load(spec, version)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this model's alone
            return self._refused(spec, version, state, error)
        return State(champion=champion, named=version)

    def _refused(self, spec: ModelSpec, version: str, state: State, error: Exception) -> State:
        known = isinstance(error, DamagedArtifactError | StoreError | OtherFormatError)
        self.log.error(
            "champion_refused",
            model=spec.name,
            version=version,
            **({"why": str(error)} if known else {"exc_info": error}),
        )
        problem = _problem(spec, error)
        return replace(state, named=version, problem=problem, tried_at=time.monotonic())

    def _load(self, spec: ModelSpec, version: str) -> Champion:
        artifact = self._workspace.artifacts.open(spec.name, version)
        self._workspace.require_format(spec, artifact)
        kind = spec.serving_class()
        folder = artifact.fitted_folder
        serving = None if kind.fits else kind(spec, self._workspace.ml, folder)
        return Champion(version, str(artifact.manifest["schema_hash"]), folder, serving)

    def _tell(self, spec: ModelSpec, before: State, after: State) -> None:
        old = before.champion.version if before.champion else None
        new = after.champion.version if after.champion else None
        if new != old:
            self._metrics.serving(spec.name, new)
            self.log.info("champion_serves", model=spec.name, version=new, before=old)


def _fresh(problem: Problem) -> Problem:
    """A copy to raise: one raised again and again would collect the frames of every request."""
    return Problem(problem.status, problem.code, problem.detail, problem.errors, problem.headers)


def _problem(spec: ModelSpec, error: Exception) -> Problem:
    if isinstance(error, DamagedArtifactError):
        return Problem(503, "artifact_damaged", f"The champion of {spec.title} is damaged.")
    if isinstance(error, OtherFormatError):
        return Problem(503, "artifact_outdated", str(error))
    if isinstance(error, StoreError):
        said = f"The champion of {spec.title} cannot be read now."
        return Problem(503, "store_unreachable", said)
    said = f"The champion of {spec.title} cannot be loaded; the log has the reason."
    return Problem(503, "champion_broken", said)
