"""A POST that creates, answered once for each ``Idempotency-Key``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api import call as calls
from api.dependencies import services
from api.problems import Problem, refused
from warehouse.database import utc_now, writing
from warehouse.repositories import idempotency
from warehouse.repositories.idempotency import InFlight, OtherBody, Replay, SecretAnswer

HEADER = "Idempotency-Key"
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Sent again within 24 h, the first answer is given again and nothing is made.",
}


@dataclass(frozen=True)
class Made:
    """What a call made: its answer, and whether that shows a secret and is never stored."""

    body: BaseModel
    status: int = 201
    secret: bool = False


def once(request: Request, body: BaseModel, make: Callable[[Connection], Made]) -> Response:
    """Make it and answer, unless this key was answered before; all in one transaction.

    What is made and the record that it was are committed together, so that a crash leaves both or
    neither.
    """
    key = request.headers.get(HEADER)
    engine = services(request).workspace.engine
    if key is None:
        with writing(engine) as connection:
            return _answer(make(connection))
    if not 1 <= len(key) <= 200:
        said = f"an {HEADER} has 1 to 200 characters, this one has {len(key)}"
        raise refused(HEADER, said)
    caller = calls.of(request.scope).caller
    assert caller is not None
    where = (caller.key_id, request.method, request.scope["path"], key)
    digest = sha256(body.model_dump_json().encode()).hexdigest()
    with writing(engine) as connection:
        begun = idempotency.begin(connection, *where, digest, utc_now())
        match begun:
            case Replay():
                return Response(begun.body, begun.status, dict(begun.headers))
            case InFlight():
                raise Problem(
                    409,
                    "idempotency_conflict",
                    "A call with this Idempotency-Key is still being answered.",
                    headers={"Retry-After": "1"},
                )
            case OtherBody():
                raise Problem(
                    422, "idempotency_mismatch", "This Idempotency-Key came with another body."
                )
            case SecretAnswer():
                raise Problem(
                    409,
                    "idempotency_secret",
                    "The first answer to this Idempotency-Key showed a secret, which is not kept.",
                )
        made = make(connection)
        answer = _answer(made)
        headers = {"content-type": "application/json"}
        text = b"" if made.secret else bytes(answer.body)
        idempotency.finish(connection, *where, made.status, headers, text, secret=made.secret)
        return answer


def _answer(made: Made) -> Response:
    headers = {"Cache-Control": "no-store"} if made.secret else None
    return Response(
        made.body.model_dump_json(), made.status, headers, media_type="application/json"
    )
