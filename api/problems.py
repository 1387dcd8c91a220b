"""Errors in one form: RFC 9457 problem details, without traces, SQL or paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.error_codes import TITLES
from ml.serving.checks import pointer

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 50
"""Listing each of thousands would take a request's time many times over."""


@dataclass(eq=False)
class Problem(Exception):
    """An error with a code that ``docs/errors.md`` lists; ``errors`` point at bad fields."""

    status: int
    code: str
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] | None = None

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem as JSON says it."""
        body: dict[str, Any] = {
            "type": f"/docs/errors#{self.code}",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if request_id is not None:
            body["request_id"] = request_id
        if self.errors:
            body["errors"] = list(self.errors)
        return body


def answer(problem: Problem, request_id: str) -> Response:
    """The HTTP answer of a problem."""
    return Response(
        msgspec.json.encode(problem.body(request_id)),
        problem.status,
        media_type=MEDIA_TYPE,
        headers=dict(problem.headers or {}),
    )


def store_unreachable(said: str) -> Problem:
    """The problem of a store that does not answer, or of a disk that is full."""
    return Problem(503, "store_unreachable", said, headers={"Retry-After": "30"})


def of_http(error: HTTPException) -> Problem:
    """What the framework refused: a path or a method that is not there, a body it cannot read."""
    if isinstance(error.__cause__, Problem):  # raised below, while it read the body
        return error.__cause__
    if error.status_code == 400 and error.__cause__ is not None:
        return invalid([{"loc": (), "msg": "the body cannot be read as JSON"}])
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return Problem(error.status_code, code, str(error.detail), headers=error.headers)


def invalid(found: Sequence[Mapping[str, Any]], inside: str = "") -> Problem:
    """422 for fields that are not as expected; ``inside`` is the pointer they are below."""
    errors = [
        {"pointer": inside + pointer(*item["loc"]), "detail": str(item["msg"])} for item in found
    ]
    named = ", ".join(dict.fromkeys(item["pointer"] or "the body" for item in errors))
    return Problem(422, "invalid_request", f"These are not as expected: {named}.", errors)


def misread(error: ValidationError) -> Problem:
    """422 for a body that is not as declared; what is wrong in many places is not listed."""
    count = error.error_count()
    if count > MOST_ERRORS:
        said = f"{count:,} fields are not as expected"
        return Problem(422, "invalid_request", f"{said}.", [{"pointer": "", "detail": said}])
    return invalid(error.errors(include_url=False, include_input=False))


def refused(name: str, said: str) -> Problem:
    """422 for one parameter or field by its name."""
    return Problem(422, "invalid_request", f"{said}.", [{"pointer": f"/{name}", "detail": said}])
