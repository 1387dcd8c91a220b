"""A POST that creates, answered once for each ``Idempotency-Key``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.auditing import caller_of
from api.dependencies import services
from api.problems import Problem, refused
from warehouse.database import reading, utc_now, writing
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
    headers: Mapping[str, str] = field(default_factory=dict)


def once(request: Request, body: BaseModel | bytes, make: Callable[[Connection], Made]) -> Response:
    """Make it and answer, unless this key was answered before; all in one transaction.

    ``body`` is what a repeated call must have alike, or stands for it, as the hash of a file does.
    What is made and the record that it was are committed together, so that a crash leaves both or
    neither.
    """
    where = _where(request)
    engine = services(request).workspace.engine
    if where is None:
        with writing(engine) as connection:
            return _answer(make(connection))
    same = body if isinstance(body, bytes) else body.model_dump_json().encode()
    digest = sha256(same).hexdigest()
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
        headers = {**made.headers, "content-type": "application/json"}
        text = b"" if made.secret else bytes(answer.body)
        idempotency.finish(connection, *where, made.status, headers, text, secret=made.secret)
        return answer


def answered_before(request: Request) -> bool:
    """Whether ``once`` would give an answer to this key without making anything."""
    where = _where(request)
    if where is None:
        return False
    with reading(services(request).workspace.engine) as connection:
        return idempotency.known(connection, *where, utc_now())


def _where(request: Request) -> tuple[str, str, str, str] | None:
    """What a repeated call has alike beside its body; None where the caller gave no key."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= 200:
        said = f"an {HEADER} has 1 to 200 characters, this one has {len(key)}"
        raise refused(HEADER, said)
    return caller_of(request).key_id, request.method, request.scope["path"], key


def _answer(made: Made) -> Response:
    headers = {"Cache-Control": "no-store"} if made.secret else dict(made.headers)
    return Response(
        made.body.model_dump_json(), made.status, headers, media_type="application/json"
    )
