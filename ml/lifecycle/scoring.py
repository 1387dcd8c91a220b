"""Scoring: decisions of whole days, each day replaced in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pandas as pd

from ml.artifacts import Artifact
from ml.gate import why_not
from ml.lifecycle.deciding import decide
from ml.lifecycle.workspace import Workspace, schema_hash
from ml.models import ModelSpec
from ml.refusals import NoChampionError
from warehouse.database import reading, utc_now, writing
from warehouse.faults import reach
from warehouse.repositories import models, scores
from warehouse.repositories.online import OnlineBatch

LIVE: Literal["live"] = "live"
BACKFILL: Literal["backfill"] = "backfill"


@dataclass(frozen=True)
class ScoredDay:
    """A written partition; ``headline`` holds one telling number a decision, for a picture."""

    as_of: date
    rows: int
    model_version: str
    data_version: str
    origin: str
    headline: Sequence[float]


def score(
    workspace: Workspace,
    spec: ModelSpec,
    days: Sequence[date],
    run_id: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[ScoredDay]:
    """Score these days with the champion of each, from what was known by the end of each.

    A day before the first champion is scored by the present one and marked ``backfill``; such
    rows count in no performance or value. Raises Refusal where there is no champion, or where
    a table that the model uses failed its verdict.
    """
    data = workspace.snapshot()
    workspace.require_fit(spec, data)
    method = workspace.method(spec)
    champions = _champions(workspace, spec, days)
    loaded: dict[str, Any] = {}
    done = []
    for chunk in day_chunks(days):
        with data.for_days(chunk) as held:
            inputs = method.inputs(held, chunk)
        for day in chunk:
            artifact, origin = champions[day]
            if artifact.version not in loaded:
                loaded[artifact.version] = workspace.fitted(spec, artifact)
            frame = decide(
                method,
                loaded[artifact.version],
                inputs[day],
                day,
                workspace.ml.reasons,
                artifact.version,
            )
            online = method.online(inputs[day], frame)
            stamp = scores.Stamp(
                model_version=artifact.version,
                data_version=data.id,
                run_id=run_id,
                origin=origin,
                scored_at=utc_now(),
            )
            batch = OnlineBatch(
                schema_hash(method.monitored(inputs[day])),
                online["entity"].tolist(),
                online["features"].tolist(),
            )
            reach("score-write")
            with writing(workspace.engine) as connection:
                scores.write_day(connection, spec, day, frame, stamp, online=batch)
            done.append(
                ScoredDay(
                    day, len(frame), artifact.version, data.id, origin, _headline(frame, spec)
                )
            )
            if progress:
                progress(len(done), len(days))
    return done


DAYS_AT_ONCE = 31
"""Days whose inputs are computed together: features of many days cost little more than one's."""


def day_chunks(days: Sequence[date]) -> list[Sequence[date]]:
    """The days in runs of ``DAYS_AT_ONCE``, so that memory does not grow with their number."""
    return [days[i : i + DAYS_AT_ONCE] for i in range(0, len(days), DAYS_AT_ONCE)]


def scorer(
    workspace: Workspace, spec: ModelSpec, day: date, present: str
) -> tuple[str, Literal["live", "backfill"]]:
    """The version that scores a day, and the origin of its rows; ``present`` is the champion now.

    A day is scored on the morning after it, by the champion of that morning.
    """
    morning = day + timedelta(days=1)
    with reading(workspace.engine) as connection:
        named = models.champion_on(connection, spec.name, morning, workspace.settings.zone)
    if named is not None:
        return named.version, LIVE
    return present, LIVE if day >= workspace.as_of() else BACKFILL


def _champions(
    workspace: Workspace, spec: ModelSpec, days: Sequence[date]
) -> dict[date, tuple[Artifact, str]]:
    present = workspace.champion(spec)
    if present is None:
        with reading(workspace.engine) as connection:
            newest = models.latest(connection, spec.name)
        raise NoChampionError(
            f"{spec.title} has no champion: "
            + (
                "no candidate was trained yet; run its training"
                if newest is None
                else why_not(newest.version, newest.gate)
            )
            + "."
        )
    found: dict[date, tuple[Artifact, str]] = {}
    opened: dict[str, Artifact] = {present.version: present}
    for day in days:
        version, origin = scorer(workspace, spec, day, present.version)
        if version not in opened:
            opened[version] = workspace.artifacts.open(spec.name, version)
        found[day] = (opened[version], origin)
    return found


def _headline(frame: pd.DataFrame, spec: ModelSpec) -> list[float]:
    numbers = [
        name
        for name in spec.Decision.model_fields
        if name in frame and pd.api.types.is_float_dtype(frame[name])
    ]
    return frame[numbers[0]].tolist() if numbers else []
