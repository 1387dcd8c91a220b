"""Processes that answer what has to be fitted on request, each answer with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process

import msgspec

from api.logs import logger
from api.problems import Problem
from ml.serving.worker import Reply, Request
from ml.settings import MlSettings

QUEUED = 32
"""Calls that may wait for each worker; more are told to come back."""
TURN_SECONDS = 10.0
"""How long a call waits for its turn at a worker before it is told to come back."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reply).decode


class Workers:
    """A few processes behind one queue.

    A worker that takes too long is replaced, and only its own call fails. One that dies is
    replaced too, and its call is made once more: it may have been another's victim. Workers start
    when first needed.
    """

    def __init__(self, count: int, seconds: float, settings: MlSettings) -> None:
        self.count = count
        self._settings = settings.model_dump_json()
        self._seconds = seconds
        self._idle: list[Process] = []
        self._free = asyncio.Semaphore(count)
        self._waiting = 0
        self.log = logger("workers")

    async def ask(self, request: Request) -> Reply:
        """The reply of a worker.

        Problem 503 where too many wait, or this call too long for its turn; 504 where the answer
        takes too long.
        """
        if self._waiting >= QUEUED * self.count:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(min(self._seconds, TURN_SECONDS)):
                await self._free.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1
        try:
            return await self._ask(request)
        finally:
            self._free.release()

    async def _ask(self, request: Request) -> Reply:
        for _ in range(2):
            try:
                return await self._ask_once(request)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.log.error("worker_died", model=request.model)
        raise Problem(
            503,
            "worker_died",
            "The process that fits the answer ended twice before it was there.",
            headers={"Retry-After": "5"},
        )

    async def _ask_once(self, request: Request) -> Reply:
        worker = self._idle.pop() if self._idle else await self._start()
        try:
            reply = await asyncio.wait_for(_exchange(worker, request), self._seconds)
        except TimeoutError:
            await _stop(worker)
            raise Problem(
                504,
                "timed_out",
                f"The answer has to be fitted, and was not there after {self._seconds:g} s.",
            ) from None
        except BaseException:  # dead, or cancelled: whoever asked is gone, half a reply may follow
            await _stop(worker)
            raise
        self._idle.append(worker)
        if reply.failed is not None:
            self.log.error("worker_failed", model=request.model, exception=reply.failed)
            raise Problem(
                500, "internal_error", "Something went wrong on our side; the log has it."
            )
        return reply

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ml.serving.worker", self._settings), stdin=PIPE, stdout=PIPE
        )

    async def close(self) -> None:
        """End all of them."""
        idle, self._idle = self._idle, []
        for worker in idle:
            await _stop(worker)


def _busy() -> Problem:
    return Problem(
        503,
        "busy",
        "Too many answers that need fitting are being waited for.",
        headers={"Retry-After": "2"},
    )


async def _exchange(worker: Process, request: Request) -> Reply:
    assert worker.stdin is not None
    assert worker.stdout is not None
    message = _encode(request)
    worker.stdin.write(len(message).to_bytes(4, "big") + message)
    await worker.stdin.drain()
    length = int.from_bytes(await worker.stdout.readexactly(4), "big")
    return _decode(await worker.stdout.readexactly(length))


async def _stop(worker: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        worker.kill()
    await worker.wait()
