"""Decisions on demand, of every model: one, or a batch of up to a thousand."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.datastructures import QueryParams

from api import call as calls
from api.dependencies import services
from api.predictor import Outcome, encode
from api.problems import Problem, misread, refused
from api.routing import JsonRoute, RawRoute, add, needs
from api.schemas.answers import MOST_ITEMS, answer_schema, batch_answer_schema, batch_schema
from ml.models import ModelSpec

REASONS = {
    "name": "reasons",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": True},
    "description": "Whether to say why; without reasons an answer takes a fraction of the time.",
}


class _Items(msgspec.Struct, forbid_unknown_fields=True):
    """A batch taken apart, its queries still as they were sent."""

    items: list[msgspec.Raw]


def add_routes(app: FastAPI, spec: ModelSpec) -> None:
    """``POST /api/{model}``, the same under ``/api/predictions``, and ``…/batch``."""
    answers: Any = answer_schema(spec)
    options: dict[str, Any] = {
        "methods": ["POST"],
        "tags": [spec.title],
        "openapi_extra": needs("write") | {"parameters": [REASONS]},
    }
    query_type: Any = spec.Query

    async def decide(request: Request, query: query_type) -> Response:
        wanted = _reasons(request)
        answer = await services(request).predictor.answer(spec, query, wanted)
        return Response(encode(answer), media_type="application/json")

    for path, note in (
        (f"/api/{spec.route}", ""),
        (f"/api/predictions/{spec.route}", f" The same as `POST /api/{spec.route}`."),
    ):
        add(
            app,
            JsonRoute,
            path,
            summary=f"One decision: {spec.decides}",
            description=spec.question + note,
            response_model=answers,
            name=f"decide_{spec.name}",
            **options,
        )(decide)

    batch_type: Any = batch_schema(spec)

    async def decide_batch(request: Request, batch: batch_type) -> Response:
        return await _batch(request, spec, batch_type, batch)

    add(
        app,
        RawRoute,
        f"/api/{spec.route}/batch",
        summary=f"Up to {MOST_ITEMS:,} decisions",
        description="One result or error for each item, in order.",
        response_model=batch_answer_schema(spec, answers),
        name=f"decide_{spec.name}_batch",
        **options,
    )(decide_batch)


async def _batch(
    request: Request, spec: ModelSpec, whole: type[BaseModel], body: bytes
) -> Response:
    reasons = _reasons(request)
    # Megabytes that are no batch take a second to say so.
    outcomes, places, queries = await asyncio.to_thread(_queries, spec, whole, body)
    answered = await services(request).predictor.answer_many(spec, queries, reasons)
    for place, outcome in zip(places, answered, strict=True):
        outcomes[place] = outcome
    request_id = calls.of(request.scope).request_id
    return Response(
        encode({"items": [_item(outcome, request_id) for outcome in outcomes]}),
        media_type="application/json",
    )


def _queries(
    spec: ModelSpec, whole: type[BaseModel], body: bytes
) -> tuple[list[Outcome | None], Sequence[int], list[Any]]:
    """Room for each item's outcome, filled where it is no query; the places of queries, and they.

    Nearly always all are, and are read at once; else each is judged alone.
    """
    try:
        queries: list[Any] = whole.__pydantic_validator__.validate_json(body).items
    except ValidationError:
        pass
    else:
        return [None] * len(queries), range(len(queries)), queries
    items = _items(body)
    outcomes: list[Outcome | None] = [None] * len(items)
    places, queries = [], []
    parse = spec.Query.__pydantic_validator__.validate_json
    for place, item in enumerate(items):
        try:
            queries.append(parse(bytes(item)))
            places.append(place)
        except ValidationError as error:
            outcomes[place] = misread(error)
    return outcomes, places, queries


def _item(outcome: Outcome | None, request_id: str) -> dict[str, Any]:
    if isinstance(outcome, Problem):
        return {"result": None, "error": outcome.body(request_id)}
    return {"result": outcome, "error": None}


def _items(body: bytes) -> list[msgspec.Raw]:
    try:
        items = msgspec.json.decode(body, type=_Items).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _items_with_nan(body)
        if found is None:
            raise Problem(
                422,
                "invalid_request",
                f'A batch is {{"items": [query, …]}}: {error}.',
                [{"pointer": "", "detail": str(error)}],
            ) from None
        items = found
    if not 1 <= len(items) <= MOST_ITEMS:
        said = f"a batch holds 1 to {MOST_ITEMS:,} items, this one has {len(items):,}"
        raise refused("items", said)
    return items


def _items_with_nan(body: bytes) -> list[msgspec.Raw] | None:
    """The items of a batch that NaN or infinity keeps from being JSON; each is judged alone."""
    try:
        batch = from_json(body)
    except ValueError:
        return None
    if not isinstance(batch, dict) or batch.keys() != {"items"}:
        return None
    items = batch["items"]
    if not isinstance(items, list):
        return None
    return [msgspec.Raw(to_json(item, inf_nan_mode="constants")) for item in items]


def _reasons(request: Request) -> bool:
    query: bytes = request.scope["query_string"]
    return not query or _reasons_of(query)


@lru_cache(maxsize=64)
def _reasons_of(query: bytes) -> bool:
    text = QueryParams(query).get("reasons", "true")
    if text.lower() not in ("true", "false", "1", "0"):
        raise refused("reasons", f"reasons is true or false, got {text!r}")
    return text.lower() in ("true", "1")
