"""Results of jobs, written by processes of their own as fast as whoever asks takes them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.logs import logger
from api.problems import Problem, store_unreachable
from api.uploads import share
from ml.jobs.join_request import GONE, Join

PIECE_BYTES = 64 * 1024
TURN_SECONDS = 10.0
"""How long a call waits for its turn before it is told to come back."""
START_SECONDS = 600.0
"""Within which the first of the results is there, or its files count as away; of a few errors among
many million rows it may come late."""
STALL_SECONDS = 60.0
"""After which a download of which nothing is taken is given up."""
LOG = logger("downloads")


class BrokenOffError(RuntimeError):
    """The process that writes results ended before they were whole."""


class Downloads:
    """A few processes at once, each for one download: it begins with it and ends with it.

    One owner has at most half of their places, so that others find one.
    """

    def __init__(self, most: int) -> None:
        self._most, self._share = most, share(most)
        self._held: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def begin(self, owner: str, asked: Join) -> Download:
        """The first of the results is there; Problem 503 where too many wait, or files are away."""
        try:
            async with asyncio.timeout(TURN_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._room_for(owner))
                self._held[owner] += 1
        except TimeoutError:
            raise Problem(
                503,
                "busy",
                f"{self._held.total()} results are being sent, {self._held[owner]} of them yours:"
                f" this instance sends {self._most} at once, and {self._share} of one owner.",
                headers={"Retry-After": "10"},
            ) from None
        download = Download(asked.job, partial(self._leave, owner))
        try:
            async with asyncio.timeout(START_SECONDS):
                await download.start(asked)
        except TimeoutError:
            await download.close()
            LOG.error("results_stalled", job=asked.job)
            raise _unreachable() from None
        except BaseException:
            await download.close()
            raise
        return download

    def _room_for(self, owner: str) -> bool:
        return self._held.total() < self._most and self._held[owner] < self._share

    async def _leave(self, owner: str) -> None:
        async with self._changed:
            self._held[owner] -= 1
            self._changed.notify_all()


class Download:
    """The results that one process writes; ``close`` it, however it ended."""

    def __init__(self, job: str, leave: Callable[[], Awaitable[None]]) -> None:
        self._job = job
        self._leave: Callable[[], Awaitable[None]] | None = leave
        self._process: Process | None = None
        self._first = b""

    async def start(self, asked: Join) -> None:
        """Begin, and wait for the first piece."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ml.jobs.joining"), stdin=PIPE, stdout=PIPE
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(asked))
        with contextlib.suppress(ConnectionError):  # its status says why it ended
            await self._process.stdin.drain()
        self._process.stdin.close()
        self._first = await self._read(self._process)
        if not self._first and (status := await self._process.wait()) != 0:
            LOG.error("results_failed", job=self._job, status=status)
            if status == GONE:
                raise _unreachable()
            raise Problem(
                500, "internal_error", "Something went wrong on our side; the log has it."
            )

    async def pieces(self) -> AsyncIterator[bytes]:
        """The results; BrokenOffError where the process fails within them."""
        assert self._process is not None
        piece = self._first
        while piece:
            yield piece
            piece = await self._read(self._process)
        if status := await self._process.wait():
            raise BrokenOffError(f"the process ended with status {status}")

    async def _read(self, process: Process) -> bytes:
        assert process.stdout is not None
        return await process.stdout.read(PIECE_BYTES)

    async def close(self) -> None:
        """End the process, and give its place to the next."""
        process, self._process = self._process, None
        leave, self._leave = self._leave, None
        try:
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()  # to the pipe's end, which else stays open
        finally:
            if leave is not None:
                await leave()


def _unreachable() -> Problem:
    return store_unreachable("The files of the results cannot be read now.")


class ResultsResponse(StreamingResponse):
    """A download as an answer; one that breaks off ends without the mark of its end."""

    def __init__(self, download: Download, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(download.pieces(), media_type=media_type, headers=headers)
        self._download = download

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(STALL_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, in_time)
        except (BrokenOffError, TimeoutError) as error:
            # The answer has begun: closing the connection says that it is not whole.
            LOG.error("results_broke_off", error=str(error) or "nobody took them")
        finally:
            await asyncio.shield(self._download.close())
