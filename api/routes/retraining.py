"""Retraining by request and by policy, and which version serves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from api.auditing import asked_by, caller_of, note
from api.dependencies import Services, services
from api.idempotency import PARAMETER, Made, answered_before, once
from api.problems import Problem, refused, store_unreachable
from api.routes.jobs import shown
from api.routes.service import spec_of
from api.routing import SecuredRoute, add, needs
from api.schemas.retraining import (
    ASKED,
    POLICY,
    PROMOTION,
    Candidate,
    Policy,
    Promoted,
    PromoteRequest,
    Retraining,
    RetrainRequest,
    RollbackRequest,
)
from ml.artifacts import DamagedArtifactError
from ml.jobs import retraining
from ml.jobs.retraining import TrainingUnderWayError
from ml.lifecycle import policies, promotion
from ml.lifecycle.policies import PolicyRequest
from ml.lifecycle.promotion import AlreadyChampionError, ChampionChangedError
from ml.lifecycle.retraining import policy_of
from ml.models import ModelSpec, UnknownModelError
from ml.refusals import OtherFormatError
from warehouse.database import reading, utc_now, writing
from warehouse.objects import StoreError
from warehouse.repositories import jobs, models
from warehouse.repositories.models import NothingToRollBackError, UnknownVersionError
from warehouse.repositories.policies import RetrainPolicy

PATH = "/api/admin/retrain"
POLICIES = f"{PATH}/policies/{{model}}"
MODEL = "/api/admin/models/{model}"


def add_routes(app: FastAPI) -> None:
    """``/api/admin/retrain`` with its policies, and ``/api/admin/models/{model}/…``."""
    admin: dict[str, Any] = {"tags": ["Retraining"], "openapi_extra": needs("admin")}
    posts = admin | {
        "openapi_extra": needs("admin") | {"parameters": [PARAMETER]},
        "methods": ["POST"],
    }
    add(
        app,
        SecuredRoute,
        POLICIES,
        methods=["GET"],
        summary="When a model is retrained by itself",
        **admin,
    )(show_policy)
    add(
        app,
        SecuredRoute,
        POLICIES,
        methods=["PUT"],
        summary="Say when a model is retrained by itself, and who promotes what comes of it",
        **admin,
    )(put_policy)
    add(
        app,
        SecuredRoute,
        PATH,
        summary="Ask for a retraining",
        status_code=202,
        response_model=Retraining,
        **posts,
    )(ask)
    add(
        app,
        SecuredRoute,
        f"{PATH}/{{job_id}}",
        methods=["GET"],
        summary="A retraining: its state, candidate and gate verdict",
        **admin,
    )(show)
    add(
        app,
        SecuredRoute,
        f"{MODEL}/promote",
        summary="Let a version serve",
        description="It serves within 5 s on every instance. Also a version that its gate rejected"
        " may be promoted: the reason is kept.",
        response_model=Promoted,
        **posts,
    )(promote)
    add(
        app,
        SecuredRoute,
        f"{MODEL}/rollback",
        summary="Let the champion before the present one serve again",
        description="The same files, so the same decisions to the last bit. Rolling back twice goes"
        " two promotions back.",
        response_model=Promoted,
        **posts,
    )(rollback)


async def ask(
    request: Request, body: Annotated[RetrainRequest, Body(examples=[ASKED])]
) -> Response:
    """A job that trains the model; a run of Dagster does it."""
    having = services(request)
    try:
        spec = having.workspace.registry[body.model]
    except UnknownModelError as error:
        raise refused("model", str(error)) from None

    def make(connection: Connection) -> Made:
        owner = caller_of(request).owner
        try:
            job = retraining.ask(connection, spec, body.reason, owner, asked_by(request))
        except TrainingUnderWayError as busy:
            raise Problem(409, "training_under_way", f"{busy}.") from busy
        note(connection, request, "retrain.ask", job.id, {"model": spec.name})
        return Made(_shown(having, job, None), 202, headers={"Location": f"{PATH}/{job.id}"})

    answer: Response = await having.write(lambda: once(request, body, make))
    return answer


def show(request: Request, job_id: str) -> Retraining:
    having = services(request)
    with reading(having.workspace.engine) as connection:
        job = jobs.get(connection, job_id)
        if job is None or job.kind != "train":
            raise Problem(404, "unknown_job", f"There is no retraining {job_id!r}.")
        return _shown(having, job, retraining.outcome(connection, job))


def show_policy(request: Request, model: str) -> Policy:
    having = services(request)
    spec = spec_of(request, model)
    with reading(having.workspace.engine) as connection:
        return Policy(**asdict(policy_of(connection, having.workspace, spec)))


async def put_policy(
    request: Request, model: str, body: Annotated[PolicyRequest, Body(examples=[POLICY])]
) -> Policy:
    """It holds from the sensor's next tick on."""
    having = services(request)
    spec = spec_of(request, model)
    by = caller_of(request).owner

    def work() -> RetrainPolicy:
        with writing(having.workspace.engine) as connection:
            policy = policies.put(connection, spec, body, by, utc_now())
            note(connection, request, "retrain.policy", spec.name, body.model_dump())
        return policy

    return Policy(**asdict(await having.write(work)))


async def promote(
    request: Request, model: str, body: Annotated[PromoteRequest, Body(examples=[PROMOTION])]
) -> Response:
    """Its files are looked at first: what is damaged would not serve."""
    having = services(request)
    spec = spec_of(request, model)
    await having.artifacts.run(_look_at, request, spec, body.version)

    def make(connection: Connection) -> Made:
        by = caller_of(request).owner
        try:
            entry = promotion.promote(connection, spec, body.version, body.reason, by)
        except AlreadyChampionError as error:
            raise Problem(409, "already_champion", f"{error}.") from error
        told = {"version": entry.version, "reason": body.reason}
        note(connection, request, "model.promote", spec.name, told)
        return Made(_logged(entry), 200)

    return await _decide(request, body, make)


async def rollback(request: Request, model: str, body: RollbackRequest) -> Response:
    """The files of the champion before are looked at first, as they are where one is promoted."""
    spec = spec_of(request, model)
    looked_at = await services(request).artifacts.run(_look_at, request, spec, None)

    def make(connection: Connection) -> Made:
        by = caller_of(request).owner
        try:
            entry = promotion.rollback(connection, spec, looked_at, body.reason, by)
        except NothingToRollBackError as error:
            raise Problem(409, "no_champion", f"{error}.") from error
        except ChampionChangedError as error:
            raise Problem(409, "champion_changed", f"{error}.") from error
        told = {"version": entry.version, "reason": body.reason}
        note(connection, request, "model.rollback", spec.name, told)
        return Made(_logged(entry), 200)

    return await _decide(request, body, make)


async def _decide(request: Request, body: Any, make: Any) -> Response:
    answer: Response = await services(request).write(lambda: once(request, body, make))
    return answer


def _look_at(request: Request, spec: ModelSpec, version: str | None) -> str | None:
    """The version (None: that before the champion) with its files read; Problem where it has none.

    A call that was answered before is answered again whatever became of them.
    """
    workspace = services(request).workspace
    if answered_before(request):
        return None
    try:
        if version is None:
            return promotion.before(workspace, spec)
        promotion.require_usable(workspace, spec, version)
    except NothingToRollBackError as error:
        raise Problem(409, "no_champion", f"{error}.") from error
    except UnknownVersionError as error:
        raise Problem(404, "unknown_version", f"{error}.") from error
    except DamagedArtifactError as error:
        said = f"The files of {version or 'the champion before'} are not those that were written"
        raise Problem(409, "artifact_damaged", f"{said}: promote another version.") from error
    except OtherFormatError as error:
        raise Problem(409, "artifact_outdated", str(error)) from error
    except StoreError as error:
        raise store_unreachable("The files of the version cannot be read now.") from error
    return version


def _logged(entry: models.Promotion) -> Promoted:
    return Promoted(**{name: getattr(entry, name) for name in Promoted.model_fields})


def _shown(having: Services, job: jobs.Job, trained: retraining.Trained | None) -> Retraining:
    candidate = None if trained is None else Candidate(**trained.shown())
    fields = shown(having, job).model_dump()
    fields["links"] = {"self": f"{PATH}/{job.id}"}
    return Retraining(**fields, reason=job.params.get("reason"), candidate=candidate)
