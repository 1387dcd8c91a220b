"""Webhooks: each owner's own, made, listed, rotated, taken away; their deliveries and replays."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from api import cursors
from api.auditing import caller_of, note
from api.dependencies import services
from api.idempotency import PARAMETER, Made, once
from api.problems import Problem, refused
from api.routing import SecuredRoute, add, needs
from api.schemas import webhooks as shown
from api.schemas.webhooks import Empty, RotateSecretRequest, WebhookRequest
from ml.webhooks.targets import RefusedTargetError, Target
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import deliveries, webhooks
from warehouse.repositories.deliveries import (
    Delivery,
    DisabledWebhookError,
    State,
    UnknownDeliveryError,
)
from warehouse.repositories.webhooks import (
    InvalidWebhookError,
    TooManyWebhooksError,
    UnknownWebhookError,
    Webhook,
)

PATH = "/api/webhooks"
ONE = f"{PATH}/{{webhook_id}}"


def add_routes(app: FastAPI) -> None:
    """``/api/webhooks`` and what is below it."""
    plain: dict[str, Any] = {"tags": ["Webhooks"], "openapi_extra": needs("write")}
    post = plain | {
        "methods": ["POST"],
        "openapi_extra": needs("write") | {"parameters": [PARAMETER]},
    }
    new = post | {"status_code": 201, "response_model": shown.NewWebhook}
    add(app, SecuredRoute, PATH, summary="Make a webhook; its secret is shown once", **new)(create)
    add(app, SecuredRoute, PATH, methods=["GET"], summary="Your webhooks, newest first", **plain)(
        list_webhooks
    )
    add(
        app,
        SecuredRoute,
        ONE,
        methods=["DELETE"],
        status_code=204,
        summary="Take a webhook away, with its deliveries",
        **plain,
    )(remove)
    add(
        app,
        SecuredRoute,
        f"{ONE}/rotate",
        summary="Replace the secret; deliveries carry both signatures until the grace ends",
        **new,
    )(rotate)
    add(
        app,
        SecuredRoute,
        f"{ONE}/enable",
        summary="Send to a webhook again that was disabled",
        **(post | {"response_model": shown.Webhook}),
    )(enable)
    add(
        app,
        SecuredRoute,
        f"{ONE}/deliveries",
        methods=["GET"],
        summary="What was delivered, with every attempt, newest first",
        **plain,
    )(list_deliveries)
    add(
        app,
        SecuredRoute,
        f"{ONE}/deliveries/{{delivery_id}}/replay",
        summary="Deliver again",
        **(post | {"status_code": 202, "response_model": shown.Delivery}),
    )(replay)


async def create(request: Request, body: WebhookRequest) -> Response:
    """A webhook of the caller's owner; its target is resolved and checked before it is made."""
    having = services(request)
    try:
        await having.reach.addresses(Target.parse(body.url))
    except RefusedTargetError as error:
        raise refused("url", str(error)) from error
    owner = caller_of(request).owner

    def make(connection: Connection) -> Made:
        try:
            webhook, secret = webhooks.create(
                connection, having.seal, owner, body.url, body.events, owner
            )
        except InvalidWebhookError as error:
            raise refused(error.name, str(error)) from error
        except TooManyWebhooksError as error:
            raise Problem(409, "webhook_limit", str(error)) from error
        note(connection, request, "webhook.create", webhook.id, {"events": webhook.events})
        return Made(_new(webhook, secret), secret=True)

    return await having.write(lambda: once(request, body, make))


async def rotate(
    request: Request, webhook_id: str, body: RotateSecretRequest | None = None
) -> Response:
    """A new secret; the former one signs too for the grace."""
    having, asked = services(request), body or RotateSecretRequest()

    def make(connection: Connection) -> Made:
        _own(connection, request, webhook_id)
        grace = dt.timedelta(hours=asked.grace_hours)
        secret = webhooks.rotate(connection, having.seal, webhook_id, utc_now(), grace)
        note(connection, request, "webhook.rotate", webhook_id, {"hours": asked.grace_hours})
        return Made(_new(webhooks.get(connection, webhook_id), secret), secret=True)

    return await having.write(lambda: once(request, asked, make))


async def enable(request: Request, webhook_id: str, body: Empty | None = None) -> Response:
    """What still waits is sent, and what happens from now on."""

    def make(connection: Connection) -> Made:
        _own(connection, request, webhook_id)
        if webhooks.enable(connection, webhook_id):
            note(connection, request, "webhook.enable", webhook_id, {})
        return Made(_shown(webhooks.get(connection, webhook_id)), status=200)

    return await services(request).write(lambda: once(request, body or Empty(), make))


async def remove(request: Request, webhook_id: str) -> Response:
    """Gone for good, with what still waits."""
    having = services(request)

    def work() -> None:
        with writing(having.workspace.engine) as connection:
            _own(connection, request, webhook_id)
            webhooks.remove(connection, webhook_id)
            note(connection, request, "webhook.delete", webhook_id, {})

    await having.write(work)
    return Response(status_code=204)


def list_webhooks(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> shown.Webhooks:
    with reading(services(request).workspace.engine) as connection:
        found = webhooks.page(
            connection, limit + 1, after=cursors.after(cursor), owner=caller_of(request).owner
        )
    items, following = cursors.cut(found, limit)
    return shown.Webhooks(items=[_shown(one) for one in items], next_cursor=following)


def list_deliveries(
    request: Request,
    webhook_id: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
    state: Annotated[State | None, Query(description="Only those in it.")] = None,
) -> shown.Deliveries:
    after = cursors.after(cursor)
    with reading(services(request).workspace.engine) as connection:
        _own(connection, request, webhook_id)
        found = deliveries.page(connection, webhook_id, limit + 1, after=after, state=state)
    items, following = cursors.cut(found, limit)
    return shown.Deliveries(items=[_delivery(one) for one in items], next_cursor=following)


async def replay(
    request: Request, webhook_id: str, delivery_id: str, body: Empty | None = None
) -> Response:
    """The same id and body, now and with all its retries; one that is being sent stays as it is."""

    def make(connection: Connection) -> Made:
        _own(connection, request, webhook_id)
        try:
            deliveries.get(connection, delivery_id, webhook_id)
            again = deliveries.replay(connection, delivery_id, utc_now())
        except UnknownDeliveryError as error:
            raise Problem(404, "unknown_delivery", str(error)) from error
        except DisabledWebhookError as error:
            raise Problem(409, "webhook_disabled", str(error)) from error
        note(connection, request, "webhook.replay", webhook_id, {"delivery": delivery_id})
        return Made(_delivery(again), status=202)

    return await services(request).write(lambda: once(request, body or Empty(), make))


def _own(connection: Connection, request: Request, webhook_id: str) -> Webhook:
    """The caller's webhook; another owner's is as unknown as one that is not there."""
    try:
        return webhooks.get(connection, webhook_id, owner=caller_of(request).owner)
    except UnknownWebhookError as error:
        raise Problem(404, "unknown_webhook", str(error)) from error


def _shown(webhook: Webhook) -> shown.Webhook:
    return shown.Webhook(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        created_at=webhook.created_at,
        created_by=webhook.created_by,
        old_secret_until=webhook.old_until,
        failing_since=webhook.failing_since,
        disabled_at=webhook.disabled_at,
        disabled_why=webhook.disabled_why,
    )


def _new(webhook: Webhook, secret: str) -> shown.NewWebhook:
    return shown.NewWebhook(**_shown(webhook).model_dump(), secret=secret)


def _delivery(delivery: Delivery) -> shown.Delivery:
    return shown.Delivery(
        id=delivery.id,
        event=delivery.event,
        state=delivery.state,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
        next_attempt_at=delivery.next_at,
        attempts=[shown.Attempt(**attempt) for attempt in delivery.attempts],
        payload=msgspec.json.decode(delivery.body),
    )
