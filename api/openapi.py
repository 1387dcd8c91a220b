"""The OpenAPI document: what FastAPI finds in the routes, with keys, roles and errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE
from api.routing import PUBLIC, ROLE
from api.schemas.answers import ProblemBody

DESCRIPTION = """Seven kinds of decisions from a services firm's billing data: stored ones of every
day, and others on demand.

New here? [First call in five minutes](/docs/guides/first-call) ·
[what each model takes and gives](/docs/guides/models) · [keys](/docs/guides/keys) ·
[limits](/docs/guides/limits) · [errors](/docs/errors)

Make a key on the machine (`sevenfold keys create --owner me --role write`), choose **Authorize**,
and try `GET /api/models`."""
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`svf_…`, as a bearer token."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`svf_…`"},
}
ERRORS = {
    "401": "No valid key.",
    "403": "The key's role is too low.",
    "422": "Not as expected; `errors` points at each field.",
    "429": "Called too often; `Retry-After` says when to come back.",
}
REF = "#/components/schemas/"


def install(app: FastAPI) -> None:
    """Make the application's document ours, once it is asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    # FastAPI's own form of a validation error is never sent.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _define(schemas, ProblemBody)
    document["components"]["securitySchemes"] = SCHEMES
    for item in document["paths"].values():
        for operation in item.values():
            _secure(operation)
    return document


def _secure(operation: dict[str, Any]) -> None:
    role = operation[ROLE]
    closed = role != PUBLIC
    operation["security"] = SECURITY if closed else []
    if closed:
        text = operation.get("description") or operation["summary"]
        operation["description"] = f"{text}\n\nNeeds a key of role `{role}` or above."
    problem = {MEDIA_TYPE: {"schema": {"$ref": REF + ProblemBody.__name__}}}
    responses = operation["responses"]
    responses.pop("422", None)
    for status, text in ERRORS.items():
        if closed or status == "429":
            responses.setdefault(status, {"description": text, "content": problem})
    responses["default"] = {"description": "Any other error.", "content": problem}


def _define(schemas: dict[str, Any], model: Any) -> None:
    """Add a model and what it refers to, where FastAPI has not."""
    schema = model.model_json_schema(ref_template=REF + "{model}")
    for name, part in schema.pop("$defs", {}).items():
        schemas.setdefault(name, part)
    schemas.setdefault(model.__name__, schema)
