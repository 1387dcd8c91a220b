"""Log lines: JSON for machines in production, readable on a terminal; never a secret or a value."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec

from api import call as calls
from api.light import without
from ml.serving.trace import traced

# For coloured tracebacks, which our lines never hold, rich would take 7 % of a server's start.
with without("rich"):
    import structlog

STANDARD = ("uvicorn", "uvicorn.error", "asyncio", "psycopg")
"""Loggers of libraries whose lines are written in our form."""


def configure(as_json: bool) -> None:
    """Make every line of this process, uvicorn's too, one form on standard error."""
    shared: list[Any] = [
        _of_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    own: list[Any] = [
        _trace,
        structlog.processors.JSONRenderer(_json)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    ]
    structlog.configure(
        processors=[*shared, *own],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if as_json
        else structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _trace,
                structlog.processors.JSONRenderer(lambda *a, **k: _json(*a, **k).decode())
                if as_json
                else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
            ],
        )
    )
    for name in STANDARD:
        other = logging.getLogger(name)
        other.handlers, other.propagate = [handler], False
    # One line for each request is ours.
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False


def logger(name: str) -> Any:
    """A logger whose lines carry the part of the API that wrote them."""
    return structlog.get_logger(part=name)


def _of_request(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say for which request a line was written."""
    found = calls.request_id()
    if found is not None:
        event.setdefault("request_id", found)
    return event


def _trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say where an error came from; neither what it says nor the values around it."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exception()
    if isinstance(error, BaseException):
        event["exception"] = traced(error)
    return event


def _json(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
