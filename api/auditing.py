"""Who makes a request, and the note of what it changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from api import call as calls
from api.call import Caller
from warehouse.repositories import audit


def caller_of(request: Request) -> Caller:
    """Who calls a route that needs a role."""
    caller = calls.of(request.scope).caller
    assert caller is not None
    return caller


def asked_by(request: Request) -> str:
    """Which key asks, as a job names it."""
    return f"key:{caller_of(request).key_id}"


def note(
    connection: Connection, request: Request, action: str, subject: str, details: dict[str, Any]
) -> None:
    """Add what a request does to the audit log, in the transaction that does it."""
    caller = caller_of(request)
    audit.append(
        connection,
        caller.owner,
        action,
        subject,
        details,
        key_id=caller.key_id,
        request_id=calls.of(request.scope).request_id,
    )
