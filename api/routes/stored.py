"""Stored decisions: of the newest day, of one entity, and of one client across all models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ClassVar

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from api.dependencies import Services, services
from api.filters import OPERATORS, filters_of
from api.problems import Problem, refused
from api.routing import ANYTHING, SecuredRoute, add, needs
from api.schemas.answers import ClientDecisions, page_schema
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.points import Day
from warehouse.repositories.score_pages import (
    ColumnError,
    CursorExpiredError,
    CursorInvalidError,
    Filter,
    Page,
    Sort,
    read_page,
)

Limit = Annotated[int, Query(ge=1, le=1000, description="Rows a page.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
Order = Annotated[
    str | None, Query(description="Columns, separated by commas; `-column` for descending.")
]
MOST_OF_A_CLIENT = 100
ROWS = 100
"""Rows of a page, unless asked for otherwise."""


class StoredRoute(SecuredRoute):
    """A read of one model's newest day: not sent again where the caller has it, and remembered.

    The day is looked up for each request, so that what was replaced is never shown.
    """

    spec: ClassVar[ModelSpec]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        read = super().get_route_handler()
        spec = self.spec

        async def handle(request: Request) -> Response:
            having, scope = services(request), request.scope
            entity = scope["path_params"].get("entity")
            if entity is not None and not scope["query_string"] and "\0" not in entity:
                found = await _of_entity(having, spec, entity, request)
                if found is not None:
                    having.metrics.cache.labels("miss").inc()
                    return found
            day = await having.points.newest_day(spec.name)
            if day is None:
                raise Problem(404, "not_scored", f"{spec.title} was not scored yet.")
            if _has(request, spec, day):
                return Response(status_code=304, headers=_headers(spec, day))
            body = having.answers.get((scope["path"], scope["query_string"]), day)
            if body is None:
                having.metrics.cache.labels("miss").inc()
                return await read(request)
            having.metrics.cache.labels("hit").inc()
            return Response(body, headers=_headers(spec, day), media_type="application/json")

        return handle


def add_routes(app: FastAPI, spec: ModelSpec) -> None:
    """``GET /api/{model}/latest`` and ``…/latest/{entity}``."""
    route = type("StoredRoute", (StoredRoute,), {"spec": spec})
    options: dict[str, Any] = {
        "methods": ["GET"],
        "tags": [spec.title],
        "response_model": page_schema(spec),
        "openapi_extra": needs("read"),
    }

    def latest(
        request: Request, limit: Limit = ROWS, cursor: Cursor = None, sort: Order = None
    ) -> Response:
        return _latest(request, spec, [], limit, cursor, sort)

    def latest_of(
        request: Request,
        entity: str,
        limit: Limit = ROWS,
        cursor: Cursor = None,
        sort: Order = None,
    ) -> Response:
        only = Filter(spec.entity_column, "eq", entity)
        return _latest(request, spec, [only], limit, cursor, sort, entity)

    path = f"/api/{spec.route}/latest"
    summary = f"Stored decisions: {spec.decides}"
    described = (
        f"Each row is {spec.row}. Filter by any column: `?column=value`, `?column.gt=value`"
        f" ({', '.join(OPERATORS)})."
    )
    add(
        app, route, path, summary=summary, description=described, name=f"latest_{spec.name}",
        **options,
    )(latest)  # fmt: skip
    add(
        app,
        route,
        f"{path}/{{entity:{ANYTHING}}}",
        summary=f"Stored decisions of one {spec.entity_column}",
        description="All its rows of the newest day. The id is percent-encoded.",
        name=f"latest_{spec.name}_of",
        **options,
    )(latest_of)


def add_client_route(app: FastAPI) -> None:
    """``GET /api/predictions?client_id=…``: what every model says about one client."""

    async def of_client(
        request: Request, client_id: Annotated[str, Query(min_length=1, max_length=200)]
    ) -> Response:
        found = await _of_client(services(request), client_id)
        return Response(msgspec.json.encode(found), media_type="application/json")

    add(
        app,
        SecuredRoute,
        "/api/predictions",
        methods=["GET"],
        tags=["All models"],
        summary="Everything the models say about one client",
        description=f"The newest stored decisions, up to {MOST_OF_A_CLIENT} of each model that"
        " decides on clients, with the reason where a model says nothing.",
        response_model=ClientDecisions,
        openapi_extra=needs("read"),
        name="predictions_of_client",
    )(of_client)


async def _of_client(having: Services, client_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    silent: dict[str, str] = {}
    for spec in having.workspace.registry.values():
        columns = spec.rows_of_client(client_id)
        if columns is None:
            continue
        rows = await having.points.rows(spec, columns, MOST_OF_A_CLIENT)
        if rows:
            found[spec.name] = rows
            continue
        day = await having.points.newest_day(spec.name)
        silent[spec.name] = (
            f"{spec.title} was not scored yet."
            if day is None
            else f"{spec.title} has no decision on it on {day.as_of}."
        )
    if not found:
        raise Problem(404, "unknown_entity", f"No model has a decision for client {client_id!r}.")
    return {"client_id": client_id, "models": found, "silent": silent}


def _latest(
    request: Request,
    spec: ModelSpec,
    filters: list[Filter],
    limit: int,
    cursor: str | None,
    sort: str | None,
    entity: str | None = None,
) -> Response:
    filters = filters + filters_of(request, spec)
    page = _read(request, spec, filters, limit, cursor, sort)
    if page is None:
        raise Problem(404, "not_scored", f"{spec.title} was not scored yet.")
    if entity is not None and not page.rows and cursor is None:
        raise Problem(404, "unknown_entity", f"{spec.title} has no decision for {entity!r}.")
    day = Day(page.day.as_of, page.day.run_id)
    body = _body(page.rows, page.next_cursor)
    path, query = asked = request.scope["path"], request.scope["query_string"]
    services(request).answers.put(asked, day, body, len(body) + 4 * len(path) + len(query))
    return Response(body, headers=_headers(spec, day), media_type="application/json")


async def _of_entity(
    having: Services, spec: ModelSpec, entity: str, request: Request
) -> Response | None:
    """All rows of an entity, read by key; None where there are none, or more than a page."""
    rows = await having.points.rows(spec, {spec.entity_column: entity}, ROWS + 1)
    if not rows or len(rows) > ROWS:
        return None
    as_of = rows[0]["as_of"]
    day = Day(dt.date.fromisoformat(as_of) if isinstance(as_of, str) else as_of, rows[0]["run_id"])
    if _has(request, spec, day):
        return Response(status_code=304, headers=_headers(spec, day))
    body = _body(rows, None)
    return Response(body, headers=_headers(spec, day), media_type="application/json")


def _body(rows: list[dict[str, Any]], next_cursor: str | None) -> bytes:
    return msgspec.json.encode({"items": rows, "next_cursor": next_cursor})


def _has(request: Request, spec: ModelSpec, day: Day) -> bool:
    """Whether the caller has what this day says."""
    asked = request.headers.get("if-none-match")
    return asked is not None and _known(asked, _etag(spec, day))


def _etag(spec: ModelSpec, day: Day) -> str:
    return f'"{spec.name}:{day.as_of}:{day.run_id}"'


def _headers(spec: ModelSpec, day: Day) -> dict[str, str]:
    return {"ETag": _etag(spec, day), "Cache-Control": "private, no-cache", "Vary": "Authorization"}


def _known(asked: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names the tag; tags are compared weakly (RFC 9110, 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return bool(tags & {etag, "*"})


def _read(
    request: Request,
    spec: ModelSpec,
    filters: list[Filter],
    limit: int,
    cursor: str | None,
    sort: str | None,
) -> Page | None:
    order = [
        Sort(name.removeprefix("-"), descending=name.startswith("-"))
        for name in (sort or "").split(",")
        if name
    ]
    try:
        with reading(services(request).workspace.engine) as connection:
            return read_page(
                connection,
                spec,
                filters=filters,
                sort=order,
                limit=limit,
                cursor=cursor,
                raw_json=True,
            )
    except CursorExpiredError as error:
        raise Problem(410, "cursor_expired", str(error)) from error
    except CursorInvalidError as error:
        raise refused("cursor", str(error)) from error
    except ColumnError as error:
        raise refused("sort", str(error)) from error
