"""Threads for work that waits, kept apart by what it waits for, so that none starves another."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A few threads of one purpose."""

    def __init__(self, purpose: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=purpose)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work returns or raises; its log lines still name the request."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(work, *args, **kwargs))

    def close(self) -> None:
        """Let idle threads end; what is under way goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
