"""Errors in one form: RFC 9457 problem details, without traces, SQL or paths."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

LOG = logging.getLogger("sevenfold.api")
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An error with a code that ``docs/errors.md`` lists; ``errors`` point at bad fields."""

    def __init__(
        self, status: int, code: str, detail: str, errors: Sequence[dict[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors = list(errors)


CODES = {
    "artifact_damaged": "The champion's files are not those that were written: roll back, or train"
    " again.",
    "artifact_outdated": "The champion's files were written by another version of Sevenfold: train"
    " again.",
    "cursor_expired": "The day that the cursor walks through was scored again: read again from the"
    " first page.",
    "feature_schema_mismatch": "The stored features are not those that the champion learned from:"
    " score the day again.",
    "http_error": "The request could not be served; the status and `detail` say why.",
    "internal_error": "Something went wrong on our side; the log has it under the request's time.",
    "invalid_request": "A field, filter or cursor is not as expected; `errors` points at each.",
    "method_not_allowed": "The path exists, but not for this method; `Allow` names those it has.",
    "no_champion": "No version of the model passed its gate yet, so it is silent.",
    "not_found": "There is no such path.",
    "not_scored": "The model has no stored decisions yet.",
    "query_not_answerable": "The question is well formed, but the model cannot answer it; `errors`"
    " points at the reason.",
    "store_unreachable": "The object store does not answer as it should: ask again later.",
    "unknown_entity": "The newest scored day has no decision on that id.",
    "unknown_model": "There is no model of that name.",
}
"""Every code that an answer may carry, and what it means to a caller."""

TITLES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    422: "Unprocessable content",
    500: "Internal error",
    503: "Not ready",
}


def install(app: FastAPI) -> None:
    """Answer every error as a problem."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> JSONResponse:
        return _answer(problem.status, problem.code, problem.detail, problem.errors)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"pointer": _pointer(item["loc"]), "detail": str(item["msg"])}
            for item in error.errors()
        ]
        named = ", ".join(item["pointer"] or "the body" for item in errors)
        return _answer(422, "invalid_request", f"These are not as expected: {named}.", errors)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        return _answer(error.status_code, code, str(error.detail), [], error.headers)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        LOG.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return _answer(500, "internal_error", "Something went wrong on our side.", [])


def _answer(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[dict[str, str]],
    headers: Any = None,
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": f"/docs/errors#{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status, media_type=MEDIA_TYPE, headers=headers)


def _pointer(location: Sequence[Any]) -> str:
    parts = [str(part) for part in location]
    if parts and parts[0] in ("body", "query", "path"):
        parts = parts[1:]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
