"""How a step that may not go on says so in Dagster: one sentence, and no retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ml.refusals import Refusal

TO_MEND = "to_mend"
"""Metadata of such a failure: whether somebody has to mend something."""


@contextmanager
def refusals_as_failures() -> Iterator[None]:
    """Turn a ``Refusal`` into a failure that is not retried: asking again changes nothing."""
    try:
        yield
    except Refusal as refusal:
        raise dg.Failure(
            description=str(refusal), metadata={TO_MEND: refusal.to_mend}, allow_retries=False
        ) from refusal
