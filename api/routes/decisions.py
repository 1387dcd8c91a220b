"""Each model's routes, made from its spec: on-demand decisions and stored ones."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import Date, DateTime, Float, Integer

from api.problems import Problem
from api.schemas.answers import answer_schema, page_schema
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.repositories.score_pages import (
    ColumnError,
    CursorExpiredError,
    CursorInvalidError,
    Filter,
    Page,
    Sort,
    read_page,
)
from warehouse.scored import scored_table

LIMIT = Annotated[int, Query(ge=1, le=1000, description="Rows a page.")]
CURSOR = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
SORT = Annotated[
    str | None, Query(description="Columns, separated by commas; `-column` for descending.")
]
PAGING = {"limit", "cursor", "sort"}


def build_router(spec: ModelSpec) -> APIRouter:
    """POST for a decision on demand; GET latest, of all or of one entity."""
    router = APIRouter(prefix=f"/api/{spec.route}", tags=[spec.title])
    answers, pages = answer_schema(spec), page_schema(spec)
    query_schema: Any = spec.Query

    @router.post("", response_model=answers, summary=spec.question)
    def decide(request: Request, query: query_schema) -> Any:
        return request.app.state.predictor.answer(spec, query)

    @router.get("/latest", response_model=pages, summary=f"Stored decisions: {spec.decides}")
    def latest(
        request: Request,
        limit: LIMIT = 100,
        cursor: CURSOR = None,
        sort: SORT = None,
    ) -> Any:
        return _latest(request, spec, [], limit, cursor, sort, pages)

    @router.get(
        "/latest/{entity:path}",
        response_model=pages,
        summary=f"Stored decisions of one {spec.entity_column}",
    )
    def latest_of(
        request: Request,
        entity: str,
        limit: LIMIT = 100,
        cursor: CURSOR = None,
        sort: SORT = None,
    ) -> Any:
        only = Filter(spec.entity_column, "eq", entity)
        return _latest(request, spec, [only], limit, cursor, sort, pages, entity)

    return router


def _latest(
    request: Request,
    spec: ModelSpec,
    filters: list[Filter],
    limit: int,
    cursor: str | None,
    sort: str | None,
    schema: Any,
    entity: str | None = None,
) -> Any:
    filters = filters + _filters(request, spec)
    page = _read(request, spec, filters, limit, cursor, sort)
    if page is None:
        raise Problem(404, "not_scored", f"{spec.title} was not scored yet.")
    if entity is not None and not page.rows and cursor is None:
        raise Problem(404, "unknown_entity", f"{spec.title} has no decision for {entity!r}.")
    etag = f'"{spec.name}:{page.day.as_of}:{page.day.run_id}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if _known(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    body = schema(items=page.rows, next_cursor=page.next_cursor)
    return Response(body.model_dump_json(), headers=headers, media_type="application/json")


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
        with reading(request.app.state.workspace.engine) as connection:
            return read_page(
                connection, spec, filters=filters, sort=order, limit=limit, cursor=cursor
            )
    except CursorExpiredError as error:
        raise Problem(410, "cursor_expired", str(error)) from error
    except (CursorInvalidError, ColumnError) as error:
        raise Problem(422, "invalid_request", str(error)) from error


def _filters(request: Request, spec: ModelSpec) -> list[Filter]:
    """``?column=value`` and ``?column.gt=value`` (lt, le, gt, ge, ne, eq)."""
    table = scored_table(spec)
    found = []
    for name, text in request.query_params.multi_items():
        if name in PAGING:
            continue
        column, _, operator = name.partition(".")
        if column not in table.c or operator not in ("", "eq", "ne", "lt", "le", "gt", "ge"):
            raise Problem(
                422,
                "invalid_request",
                f"Cannot filter by {name!r}: use ?column=value or ?column.gt=value (eq, ne, lt,"
                f" le, gt, ge) with one of {', '.join(table.c.keys())}.",
                [{"pointer": f"/{name}", "detail": "no such filter"}],
            )
        found.append(Filter(column, operator or "eq", _typed(table.c[column], text)))  # type: ignore[arg-type]
    return found


def _typed(column: Any, text: str) -> Any:
    import datetime

    kinds: list[tuple[Any, Any]] = [
        (Float, float),
        (Integer, int),
        (DateTime, datetime.datetime.fromisoformat),
        (Date, datetime.date.fromisoformat),
    ]
    try:
        for kind, parse in kinds:
            if isinstance(column.type, kind):
                return parse(text)
    except ValueError:
        raise Problem(
            422,
            "invalid_request",
            f"{text!r} is no value of {column.name}.",
            [{"pointer": f"/{column.name}", "detail": f"{text!r} is no value of this column"}],
        ) from None
    if column.type.python_type is bool:
        return text.lower() in ("true", "1", "yes")
    return text
