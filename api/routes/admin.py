"""For admins: who changed what, and what the API measures of itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from api import cursors
from api.dependencies import services
from api.routing import SecuredRoute, add, needs
from api.schemas.keys import Audit, Audited
from warehouse.database import reading
from warehouse.repositories import audit


def add_routes(app: FastAPI) -> None:
    """``/api/admin/audit``, ``/api/admin/metrics`` and ``/metrics``."""
    options: dict[str, Any] = {
        "methods": ["GET"],
        "tags": ["Administration"],
        "openapi_extra": needs("admin"),
    }
    add(app, SecuredRoute, "/api/admin/audit", summary="Who changed what", **options)(list_audit)
    add(app, SecuredRoute, "/api/admin/metrics", summary="Metrics as JSON", **options)(summary)
    add(
        app,
        SecuredRoute,
        "/metrics",
        summary="Metrics in Prometheus' text format",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        **options,
    )(metrics)


def list_audit(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Audit:
    before = None if cursor is None else int(cursors.decode(cursor, int)[0])
    with reading(services(request).workspace.engine) as connection:
        found = audit.page(connection, limit + 1, before_id=before)
    more = len(found) > limit
    found = found[:limit]
    return Audit(
        items=[
            Audited(
                id=str(entry.id),
                at=entry.at,
                actor=entry.actor,
                key_id=entry.key_id,
                action=entry.action,
                subject=entry.subject,
                details=dict(entry.details),
                request_id=entry.request_id,
            )
            for entry in found
        ],
        next_cursor=cursors.encode(found[-1].id) if more else None,
    )


async def summary(request: Request) -> dict[str, float]:
    """Each counter and gauge by its name and labels."""
    return services(request).metrics.summary()


async def metrics(request: Request) -> Response:
    having = services(request).metrics
    return Response(having.text(), media_type=having.content_type)
