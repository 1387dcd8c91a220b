"""Retraining by request and by policy, and which version serves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from api.auditing import caller_of, note
from api.dependencies import Services, services
from api.idempotency import PARAMETER, Made, once
from api.problems import Problem, refused
from api.routes.jobs import shown
from api.routes.service import spec_of
from api.routing import SecuredRoute, add, needs
from api.schemas.retraining import (
    ASKED,
    POLICY,
    PROMOTION,
    Candidate,
    Policy,
    PolicyRequest,
    Promoted,
    PromoteRequest,
    Retraining,
    RetrainRequest,
    RollbackRequest,
)
from ml.artifacts import DamagedArtifactError
from ml.jobs import retraining
from ml.jobs.retraining import TrainingUnderWayError
from ml.lifecycle.retraining import policy_of
from ml.models import ModelSpec, UnknownModelError
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs, models, policies
from warehouse.repositories.models import NothingToRollBackError
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
        caller = caller_of(request)
        asked_by = f"key:{caller.key_id}"
        try:
            job = retraining.ask(connection, spec, body.reason, caller.owner, asked_by)
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
    fields = body.model_dump()
    policy = RetrainPolicy(
        spec.name, **fields, changed_by=caller_of(request).owner, changed_at=utc_now()
    )

    def work() -> None:
        with writing(having.workspace.engine) as connection:
            policies.put(connection, policy)
            note(connection, request, "retrain.policy", spec.name, fields)

    await having.write(work)
    return Policy(**asdict(policy))


async def promote(
    request: Request, model: str, body: Annotated[PromoteRequest, Body(examples=[PROMOTION])]
) -> Response:
    """Its files are looked at first: what is damaged would not serve."""
    having = services(request)
    spec = spec_of(request, model)
    await having.artifacts.run(_require_intact, having, spec, body.version)

    def make(connection: Connection) -> Made:
        champion = models.champion(connection, spec.name)
        if champion is not None and champion.version == body.version:
            said = f"{body.version} is champion of {spec.title} already."
            raise Problem(409, "already_champion", said)
        by = caller_of(request).owner
        entry = models.promote(connection, spec.name, body.version, body.reason, by)
        told = {"version": entry.version, "reason": body.reason}
        note(connection, request, "model.promote", spec.name, told)
        return Made(_logged(entry), 200)

    return await _decide(request, body, make)


async def rollback(request: Request, model: str, body: RollbackRequest) -> Response:
    spec = spec_of(request, model)

    def make(connection: Connection) -> Made:
        by = caller_of(request).owner
        try:
            entry = models.rollback(connection, spec.name, body.reason, by)
        except NothingToRollBackError as error:
            raise Problem(409, "no_champion", f"{error}.") from error
        told = {"version": entry.version, "reason": body.reason}
        note(connection, request, "model.rollback", spec.name, told)
        return Made(_logged(entry), 200)

    return await _decide(request, body, make)


async def _decide(request: Request, body: Any, make: Any) -> Response:
    answer: Response = await services(request).write(lambda: once(request, body, make))
    return answer


def _require_intact(having: Services, spec: ModelSpec, version: str) -> None:
    """Problem where the model has no such version, or where its files are not those written."""
    with reading(having.workspace.engine) as connection:
        known = models.get(connection, version)
    if known is None or known.model != spec.name:
        raise Problem(404, "unknown_version", f"{spec.title} has no version {version!r}.")
    try:
        having.workspace.artifacts.open(spec.name, version)
    except DamagedArtifactError as error:
        said = f"The files of {version} are not those that were written."
        raise Problem(409, "artifact_damaged", said) from error


def _logged(entry: models.Promotion) -> Promoted:
    return Promoted(**{name: getattr(entry, name) for name in Promoted.model_fields})


def _shown(having: Services, job: jobs.Job, trained: retraining.Trained | None) -> Retraining:
    candidate = None
    if trained is not None:
        version = trained.version
        candidate = Candidate(
            version=version.version,
            status=version.status,
            known_through=version.known_through,
            metrics=dict(version.metrics),
            baseline_metrics=dict(version.baseline),
            champion_metrics=(
                None if version.champion_metrics is None else dict(version.champion_metrics)
            ),
            gate=dict(version.gate),
            promoted=trained.promoted,
            waits_for_approval=trained.waits,
        )
    fields = shown(having, job).model_dump()
    fields["links"] = {"self": f"{PATH}/{job.id}"}
    return Retraining(**fields, reason=job.params.get("reason"), candidate=candidate)
