"""Keys: made, listed, rotated and revoked by admins; every change is in the audit log."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from api import cursors
from api.auditing import caller_of, note
from api.dependencies import Services, services
from api.idempotency import PARAMETER, Made, once
from api.problems import Problem, refused
from api.routing import SecuredRoute, add, needs
from api.schemas.keys import Key, KeyRequest, Keys, Name, NewKey, RotateRequest
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import keys as stored
from warehouse.repositories.keys import ApiKey, DeadKeyError, UnknownKeyError

PATH = "/api/admin/keys"


def add_routes(app: FastAPI) -> None:
    """``/api/admin/keys`` and what is below it."""
    admin: dict[str, Any] = {"tags": ["Keys"], "openapi_extra": needs("admin")}
    creates = admin | {"openapi_extra": needs("admin") | {"parameters": [PARAMETER]}}
    new: dict[str, Any] = {"methods": ["POST"], "status_code": 201, "response_model": NewKey}
    add(app, SecuredRoute, PATH, summary="Make a key; its secret is shown once", **new, **creates)(
        create
    )
    add(app, SecuredRoute, PATH, methods=["GET"], summary="Keys, newest first", **admin)(list_keys)
    add(
        app,
        SecuredRoute,
        f"{PATH}/{{key_id}}",
        methods=["DELETE"],
        status_code=204,
        summary="Revoke a key; it stops working within 5 s on every instance",
        **admin,
    )(revoke)
    add(
        app,
        SecuredRoute,
        f"{PATH}/{{key_id}}/rotate",
        summary="Replace a key; both work until the old one's grace ends",
        **new,
        **creates,
    )(rotate)


async def create(request: Request, body: KeyRequest) -> Response:
    """A key for its owner."""
    having = services(request)
    tiers = having.settings.api_tiers
    if body.tier not in tiers:
        said = f"there is no tier {body.tier!r}; there are {', '.join(tiers)}"
        raise refused("tier", said)
    if body.expires_at is not None and body.expires_at <= utc_now():
        said = "expires_at lies in the past"
        raise refused("expires_at", said)

    def make(connection: Connection) -> Made:
        key, text = stored.create(
            connection,
            owner=body.owner,
            name=body.name,
            role=body.role,
            tier=body.tier,
            created_by=caller_of(request).owner,
            expires_at=body.expires_at,
        )
        note(connection, request, "key.create", key.id, {"owner": key.owner, "role": key.role})
        return Made(_new(key, text), secret=True)

    return await _change(having, request, body, make)


async def rotate(request: Request, key_id: str, body: RotateRequest | None = None) -> Response:
    """A new key of the same owner, role and tier."""
    asked = body or RotateRequest()

    def make(connection: Connection) -> Made:
        try:
            key, text = stored.rotate(
                connection, key_id, caller_of(request).owner, dt.timedelta(hours=asked.grace_hours)
            )
        except DeadKeyError as error:
            raise Problem(409, "key_not_active", str(error)) from error
        except UnknownKeyError as error:
            raise Problem(404, "unknown_key", str(error)) from error
        note(connection, request, "key.rotate", key_id, {"to": key.id})
        return Made(_new(key, text), secret=True)

    return await _change(services(request), request, asked, make)


async def revoke(request: Request, key_id: str) -> Response:
    """Revoked for good; revoking again changes nothing."""
    having = services(request)

    def work() -> None:
        with writing(having.workspace.engine) as connection:
            try:
                changed = stored.revoke(connection, key_id, utc_now())
            except UnknownKeyError as error:
                raise Problem(404, "unknown_key", str(error)) from error
            if changed:
                note(connection, request, "key.revoke", key_id, {})

    await having.write(work)
    await having.keys.refresh()
    return Response(status_code=204)


def list_keys(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
    owner: Annotated[Name | None, Query(description="Only this owner's.")] = None,
    include_revoked: Annotated[bool, Query(description="Also revoked ones.")] = False,
) -> Keys:
    after = cursors.after(cursor)
    with reading(services(request).workspace.engine) as connection:
        found = stored.page(
            connection, limit + 1, after=after, owner=owner, include_revoked=include_revoked
        )
    items, following = cursors.cut(found, limit)
    return Keys(items=[_shown(key) for key in items], next_cursor=following)


async def _change(having: Services, request: Request, body: Any, make: Any) -> Response:
    answer: Response = await having.write(lambda: once(request, body, make))
    await having.keys.refresh()
    return answer


def _shown(key: ApiKey) -> Key:
    fields = asdict(key)
    return Key(**{name: fields[name] for name in Key.model_fields})


def _new(key: ApiKey, text: str) -> NewKey:
    return NewKey(**_shown(key).model_dump(), key=text)
