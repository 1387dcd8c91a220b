"""A process that answers what has to be fitted on request: asked and answering through pipes.

``python -m ml.serving.worker SETTINGS`` (those of the models, as JSON) reads messages from standard
input and writes one answer to each to standard output: four bytes of length, then MessagePack. It
ends with its input.
"""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ml.models import default_registry
from ml.priority import HELPER, step_aside
from ml.serving.base import Answer, Asked, QueryError, Serving
from ml.serving.trace import traced
from ml.settings import MlSettings

HELD = 8
"""Loaded versions that are kept, the latest used: champions, and few others."""


class Request(msgspec.Struct):
    """One question: of which version, and what."""

    model: str
    folder: str
    query: bytes
    stored: dict[str, Any] | None
    as_of: date
    reasons: bool


class Reply(msgspec.Struct):
    """An answer, or why the question has none, or that answering failed."""

    answer: Answer | None = None
    error: str | None = None
    pointer: str = ""
    failed: str | None = None


def main() -> None:
    """Answer until the input ends."""
    step_aside(HELPER)
    # Libraries print; the answers' pipe must hold answers alone.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    decode = msgspec.msgpack.Decoder(Request).decode
    encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
    held: dict[str, Serving] = {}
    settings = MlSettings(**msgspec.json.decode(sys.argv[1]))
    while (message := read(sys.stdin.buffer)) is not None:
        reply = encode(_reply(decode(message), held, settings))
        answers.write(len(reply).to_bytes(4, "big") + reply)


def read(pipe: BinaryIO) -> bytes | None:
    """The next message; None at the end."""
    head = pipe.read(4)
    return pipe.read(int.from_bytes(head, "big")) if len(head) == 4 else None


def _reply(request: Request, held: dict[str, Serving], settings: MlSettings) -> Reply:
    spec = default_registry()[request.model]
    try:
        serving = held.pop(request.folder, None)
        if serving is None:
            serving = spec.serving_class()(spec, settings, Path(request.folder))
        held[request.folder] = serving
        while len(held) > HELD:
            held.pop(next(iter(held)))
        query = spec.Query.model_validate_json(request.query)
        asked = Asked(query, request.stored, request.as_of)
        return Reply(answer=serving.answer(asked, request.reasons))
    except QueryError as error:
        return Reply(error=str(error), pointer=error.pointer)
    except Exception as error:  # noqa: BLE001 - the server logs it; the next may be answered
        return Reply(failed=traced(error))


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"an answer holds a {type(value).__name__}")


if __name__ == "__main__":
    main()
