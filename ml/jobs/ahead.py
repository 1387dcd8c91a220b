"""Work on the next items while the one before is put away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterable[T], work: Callable[[T], R], threads: int) -> Generator[R, None, None]:
    """What ``work`` makes of each item, in order.

    Items are taken in the caller's thread and worked on by ``threads`` others, of which one more
    item may wait; where there are none, by the caller's, one after the other. Close it to begin no
    further item.
    """
    if not threads:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
