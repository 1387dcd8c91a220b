"""Versions of a model: what each is, and whether it would serve."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request

from api.dependencies import Services, services
from api.logs import logger
from api.problems import Problem
from api.routing import SecuredRoute, add, needs
from api.schemas.service import VersionHealth, VersionInfo
from ml.artifacts import DamagedArtifactError
from ml.lifecycle.probing import question
from ml.models import ModelSpec
from ml.refusals import OtherFormatError
from warehouse.database import reading
from warehouse.objects import StoreError
from warehouse.repositories import models
from warehouse.repositories.models import ModelVersion

LOG = logger("versions")
NAMES = "`champion` or the model's name: the serving one; `latest`: the newest trained; else its id"


def add_routes(app: FastAPI, spec: ModelSpec) -> None:
    """``GET /api/{model}/models/{version}/info`` and ``…/health``."""
    options: dict[str, Any] = {
        "methods": ["GET"],
        "tags": [spec.title],
        "openapi_extra": needs("read"),
    }

    def info(request: Request, version: str) -> VersionInfo:
        having = services(request)
        return _info(having, spec, _named(having, spec, version))

    async def health(request: Request, version: str) -> VersionHealth:
        having = services(request)
        found = await asyncio.to_thread(_named, having, spec, version)
        return await _health(having, spec, found)

    path = f"/api/{spec.route}/models/{{version}}"
    for name, endpoint, summary in (
        ("info", info, "A version: metrics, features, data, card"),
        ("health", health, "Whether a version is intact, loads, and answers a probe"),
    ):
        add(
            app,
            SecuredRoute,
            f"{path}/{name}",
            summary=summary,
            description=f"`version` is {NAMES}.",
            name=f"{name}_{spec.name}",
            **options,
        )(endpoint)


def _named(having: Services, spec: ModelSpec, name: str) -> ModelVersion:
    with reading(having.workspace.engine) as connection:
        if name in ("champion", spec.name, spec.route):
            state = having.champions.state(spec)
            serving = state.champion.version if state.champion else state.named
            found = models.get(connection, serving) if serving else None
            if found is None:
                raise Problem(404, "unknown_version", f"{spec.title} has no champion.")
            return found
        found = models.latest(connection, spec.name) if name == "latest" else None
        found = found or models.get(connection, name)
    if found is None or found.model != spec.name:
        raise Problem(404, "unknown_version", f"{spec.title} has no version {name!r}.")
    return found


def _info(having: Services, spec: ModelSpec, version: ModelVersion) -> VersionInfo:
    champion = having.champions.state(spec).champion
    features: list[str] | None = None
    card: str | None = None
    with suppress(DamagedArtifactError, StoreError):
        artifact = having.workspace.artifacts.open(spec.name, version.version)
        features = [str(name) for name in artifact.manifest["features"]]
        card = (artifact.folder / Path(version.card).name).read_text(encoding="utf-8")
    return VersionInfo(
        model=version.model,
        version=version.version,
        serves=champion is not None and champion.version == version.version,
        status=version.status,
        trained_at=version.trained_at,
        trained_as_of=version.trained_as_of,
        known_through=version.known_through,
        data_version=version.data_version,
        estimator=version.estimator,
        metrics=dict(version.metrics),
        baseline_metrics=dict(version.baseline),
        champion_metrics=version.champion_metrics,
        gate=dict(version.gate),
        features=features,
        feature_schema_hash=version.feature_schema_hash,
        card=card,
    )


async def _health(having: Services, spec: ModelSpec, version: ModelVersion) -> VersionHealth:
    """Files first, then whether today's code reads them, then an answer; what fails says why."""
    passed = {"intact": False, "loads": False, "answers": False}
    detail = None
    workspace = having.workspace
    try:
        artifact = await having.artifacts.run(workspace.artifacts.open, spec.name, version.version)
        passed["intact"] = True
        workspace.require_format(spec, artifact)
        folder = artifact.fitted_folder
        serving = await having.artifacts.run(having.predictor.load, spec, folder)
        passed["loads"] = serving is not None  # a worker loads and answers in one
        asked = await having.artifacts.run(question, workspace, spec, artifact)
        await having.predictor.probe(spec, folder, serving, asked)
        passed["loads"] = passed["answers"] = True
    except Problem as problem:
        detail = problem.detail
    except DamagedArtifactError:
        detail = "Its files are not those that were written."
    except StoreError:
        detail = "Its files cannot be read now."
    except OtherFormatError as error:
        detail = str(error)
    except Exception as error:
        # That it fails, whatever way, is the answer.
        LOG.error("version_fails", model=spec.name, version=version.version, exc_info=error)
        what = "does not answer" if passed["loads"] else "cannot be loaded"
        detail = f"It {what}; the log has the reason."
    return VersionHealth(
        model=spec.name,
        version=version.version,
        status="ok" if detail is None else "failed",
        detail=detail,
        **passed,
    )
