"""Where an unforeseen error came from, fit for a log."""

from __future__ import annotations

import traceback
from collections.abc import Iterator


def traced(error: BaseException) -> str:
    """The frames and types of an error and of those behind it, outermost first.

    What they say is left out: messages hold values of the question, ids and statements.
    """
    return "\nbecause of\n".join(_parts(error))


def _parts(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        kind = type(found)
        frames = "".join(traceback.format_tb(found.__traceback__))
        yield f"{frames}{kind.__module__}.{kind.__qualname__}"
        hidden = found.__suppress_context__
        found = found.__cause__ or (None if hidden else found.__context__)
