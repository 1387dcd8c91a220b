"""On-demand decisions: a query, the stored features of its entity, the champion, an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from api.cache import DayCache
from api.champions import Champion, Champions
from api.metrics import Metrics
from api.problems import Problem
from api.workers import Workers
from ml.models import ModelSpec
from ml.serving.base import Answer, Asked, QueryError, Serving, StoredFeatures
from ml.serving.worker import Request
from warehouse.points import Online, Points

BATCH_SECONDS = 120.0
"""For a batch whose answers are fitted; callers and what lies between wait no longer."""
Outcome = dict[str, Any] | Problem
"""An answer in the form that ``docs/api/models.md`` gives, or why there is none."""


class Predictor:
    """Answers queries with the present champion of each model."""

    def __init__(
        self, champions: Champions, points: Points, workers: Workers, metrics: Metrics
    ) -> None:
        self._champions = champions
        self._points = points
        self._workers = workers
        self._metrics = metrics
        self._stored: DayCache[Online] = DayCache()

    async def answer(self, spec: ModelSpec, query: Any, reasons: bool) -> dict[str, Any]:
        """One on-demand decision in its documented form; Problem where there is none."""
        champion = self._champions.champion(spec)
        asked, data_version = await self._asked(spec, query, champion)
        found: Answer | QueryError
        try:
            if champion.serving is None:
                found = await self._fitted(spec, champion.folder, asked, reasons)
            elif reasons or not champion.serving.instant:
                # Contributions take many times a bare decision; other requests go on meanwhile.
                found = await asyncio.to_thread(champion.serving.answer, asked, reasons)
            else:
                found = champion.serving.answer(asked, False)
        except QueryError as error:
            found = error
        outcome = self._outcome(spec, champion, asked.as_of, data_version, found)
        if isinstance(outcome, Problem):
            raise outcome
        self._metrics.decided(spec.name, len(outcome["decisions"]))
        return outcome

    async def answer_many(
        self, spec: ModelSpec, queries: Sequence[Any], reasons: bool
    ) -> list[Outcome]:
        """One answer or problem for each query, in order, all by one version."""
        champion = self._champions.champion(spec)
        outcomes: list[Outcome | None] = [None] * len(queries)
        asked: list[tuple[int, Asked, str]] = []
        for place, query in enumerate(queries):
            try:
                one, data_version = await self._asked(spec, query, champion)
                asked.append((place, one, data_version))
            except Problem as problem:
                outcomes[place] = problem
        questions = [one for _, one, _ in asked]
        found: list[Answer | QueryError | Problem] = []
        if champion.serving is None:
            found += await self._all_fitted(spec, champion, questions, reasons)
        else:
            found += await asyncio.to_thread(champion.serving.answer_many, questions, reasons)
        for (place, one, data_version), answer in zip(asked, found, strict=True):
            outcomes[place] = (
                answer
                if isinstance(answer, Problem)
                else self._outcome(spec, champion, one.as_of, data_version, answer)
            )
        decided = [len(answer.decisions) for answer in found if isinstance(answer, Answer)]
        self._metrics.decided(spec.name, sum(decided))
        return [outcome for outcome in outcomes if outcome is not None]

    async def warm(self, specs: Iterable[ModelSpec]) -> None:
        """Let the workers load what they will be asked, so that no caller waits for imports."""
        for spec in specs:
            champion = self._champions.state(spec).champion
            if champion is None or champion.serving is not None:
                continue
            everyone = range(self._workers.count)
            await asyncio.gather(*(self.check(spec, champion.folder) for _ in everyone))

    async def check(self, spec: ModelSpec, folder: Path) -> None:
        """Let a worker load a version; what cannot be loaded, or fails to answer, raises."""
        query = spec.Query.model_validate(spec.serving_class().example(None, None))
        await self._fitted(spec, folder, Asked(query, None, self._champions.known.as_of), False)

    async def _asked(self, spec: ModelSpec, query: Any, champion: Champion) -> tuple[Asked, str]:
        kind = spec.serving_class()
        entity = kind.entity_of(query)
        if entity is not None:
            there = await self._online(spec, entity)
            if there is not None:
                if there.schema_hash != champion.schema_hash and not kind.reads_by_name:
                    raise Problem(
                        409,
                        "feature_schema_mismatch",
                        f"The stored features of {spec.title} have schema {there.schema_hash}, its"
                        f" champion has {champion.schema_hash}: score again.",
                    )
                return Asked(query, StoredFeatures(there.features), there.as_of), there.data_version
        known = self._champions.known
        return Asked(query, None, known.as_of), known.data_version

    async def _online(self, spec: ModelSpec, entity: str) -> Online | None:
        """The stored features of an entity, read once between two scorings."""
        # The day as it was before reading: what is read of an older one is not given for a newer.
        day = self._champions.day(spec)
        if day is None:
            return await self._points.online(spec.name, entity)
        found = self._stored.get((spec.name, entity), day)
        if found is None:
            found = await self._points.online(spec.name, entity)
            if found is not None:
                size = len(found.features) + 4 * len(entity)
                self._stored.put((spec.name, entity), day, found, size)
        return found

    def load(self, spec: ModelSpec, folder: Path) -> Serving | None:
        """A version, loaded to answer; None where only a worker should hold it."""
        kind = spec.serving_class()
        return None if kind.fits else kind(spec, self._champions.settings, folder)

    async def probe(
        self, spec: ModelSpec, folder: Path, serving: Serving | None, asked: Asked
    ) -> None:
        """Ask a version something; what fails raises."""
        if serving is None:
            await self._fitted(spec, folder, asked, False)
        else:
            await asyncio.to_thread(_answered, serving, asked)

    async def _fitted(
        self, spec: ModelSpec, folder: Path, asked: Asked, reasons: bool
    ) -> Answer | QueryError:
        reply = await self._workers.ask(
            Request(
                model=spec.name,
                folder=str(folder),
                query=asked.query.model_dump_json(exclude_unset=True).encode(),
                stored=None if asked.stored is None else dict(asked.stored),
                as_of=asked.as_of,
                reasons=reasons,
            )
        )
        if reply.answer is None:
            return QueryError(str(reply.error), reply.pointer)
        return reply.answer

    async def _all_fitted(
        self, spec: ModelSpec, champion: Champion, questions: Sequence[Asked], reasons: bool
    ) -> list[Answer | QueryError | Problem]:
        """As many at once as there are workers, and none begun after the time of a batch."""
        turns = asyncio.Semaphore(self._workers.count)
        deadline = time.monotonic() + BATCH_SECONDS

        async def one(asked: Asked) -> Answer | QueryError | Problem:
            async with turns:
                if time.monotonic() > deadline:
                    said = f"The batch was not fitted in {BATCH_SECONDS:g} s: send fewer at once."
                    return Problem(504, "timed_out", said)
                try:
                    return await self._fitted(spec, champion.folder, asked, reasons)
                except Problem as problem:
                    return problem

        return await asyncio.gather(*map(one, questions))

    def _outcome(
        self,
        spec: ModelSpec,
        champion: Champion,
        as_of: date,
        data_version: str,
        answer: Answer | QueryError,
    ) -> Outcome:
        if isinstance(answer, QueryError):
            said = str(answer)
            errors = [{"pointer": answer.pointer, "detail": said}]
            return Problem(422, "query_not_answerable", said, errors)
        return {
            "model": spec.name,
            "model_version": champion.version,
            "as_of": as_of,
            "data_version": data_version,
            "inputs": answer.inputs,
            "decisions": answer.decisions,
            "detail": answer.detail,
        }


def _answered(serving: Serving, asked: Asked) -> Answer | QueryError:
    [found] = serving.answer_many([asked], reasons=False)
    return found


def _plain(value: Any) -> Any:
    """What numpy left among an answer's values."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"an answer holds a {type(value).__name__}")


encode = msgspec.json.Encoder(enc_hook=_plain).encode
"""An answer as JSON; NaN and infinity become null and never reach a client."""
