"""What an attempt's answer means, and when the next one is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ml.webhooks.sending import Answer

DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(5, 300, 1_800, 2 * 3_600, 5 * 3_600, 10 * 3_600),
        *(14 * 3_600, 20 * 3_600, 24 * 3_600),
    )
)
"""Between one attempt and the next, those that Standard Webhooks proposes: three days in all."""
JITTER = 0.1
"""The largest share that a delay is made longer by, so that retries do not come all at once."""
LONGEST_WAIT = timedelta(hours=24)
"""A Retry-After beyond it counts as this."""
GIVE_UP = timedelta(days=5)
"""A webhook that nothing reached for so long is disabled."""
GONE = 410


def delivered(answer: Answer) -> bool:
    """Whether the receiver took it."""
    return answer.status is not None and 200 <= answer.status < 300


def said(answer: Answer) -> str | None:
    """Why an attempt failed, in words; None where it did not."""
    if answer.error is not None or delivered(answer):
        return answer.error
    redirected = answer.status is not None and 300 <= answer.status < 400
    return f"answered {answer.status}" + (
        ", a redirect, which is not followed" if redirected else ""
    )


def next_at(tries: int, now: datetime, retry_after: str | None, jitter: float) -> datetime | None:
    """When to try again after ``tries`` failed attempts; None where that is given up.

    ``jitter`` is between 0 and 1. A receiver's Retry-After makes the wait longer, never shorter.
    """
    if tries > len(DELAYS):
        return None
    wait = DELAYS[tries - 1] * (1 + JITTER * jitter)
    return now + max(wait, min(_asked(retry_after, now), LONGEST_WAIT))


def _asked(retry_after: str | None, now: datetime) -> timedelta:
    """The wait that a Retry-After asks for, in seconds or as a date; none where it says neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:12]), 10**9))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return timedelta(0)
    return until.replace(tzinfo=until.tzinfo or UTC) - now
