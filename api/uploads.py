"""Bulk uploads: taken piece by piece, written by threads, never held in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from starlette.types import Receive

from api.logs import logger
from api.problems import Problem, store_unreachable
from api.threads import Threads
from ml.jobs.files import Incoming
from warehouse.job_files import INPUT, JobFiles
from warehouse.objects import StoreError

PIECE_BYTES = 128 * 1024
"""Written at once; so much of each upload is in memory."""
STALL_SECONDS = 60.0
"""After which an upload of which nothing comes is given up, so that it keeps nobody's place."""
LOG = logger("uploads")


def share(most: int) -> int:
    """How many of so many places one owner may have, so that others find one."""
    return max(1, most // 2)


class NoRoomError(RuntimeError):
    """An owner's uploads have more bytes than it may have kept."""


class Uploads:
    """All uploads of this instance: so many at once, and no more bytes of an owner than it may."""

    def __init__(self, files: JobFiles, most: int) -> None:
        self._files = files
        self._most, self._share = most, share(most)
        self._inside: Counter[str] = Counter()
        self._coming: Counter[str] = Counter()
        # To an object store a file takes minutes, for which no other upload's pieces should wait.
        self._writers, self._keepers = Threads("upload", 4), Threads("keep", 4)

    @asynccontextmanager
    async def receiving(self, owner: str, room: int) -> AsyncIterator[Upload]:
        """Take a file of an owner who has ``room`` bytes left; what is not kept is gone at the end.

        Problem 503 where too many come in at once.
        """
        if self._inside.total() >= self._most or self._inside[owner] >= self._share:
            raise Problem(
                503,
                "busy",
                f"{self._inside.total()} files are coming in, {self._inside[owner]} of them yours:"
                f" this instance takes {self._most} at once, and {self._share} of one owner.",
                headers={"Retry-After": "5"},
            )
        self._inside[owner] += 1
        draft = _draft(self._files)
        try:
            with _stored():
                path, incoming = await self._writers.run(draft.__enter__)
            upload = Upload(self, owner, room, path, incoming)
            try:
                yield upload
            finally:
                self._coming[owner] -= upload.size
                await asyncio.shield(self._writers.run(draft.__exit__, None, None, None))
        finally:
            self._inside[owner] -= 1

    async def remove(self, job_id: str) -> None:
        """Remove what was stored for a job that was not made; what is left the next purge takes."""
        try:
            await self._keepers.run(self._files.remove, job_id)
        except (StoreError, OSError) as error:
            LOG.warning("upload_left", job=job_id, error=str(error))

    def close(self) -> None:
        """Let idle threads end."""
        self._writers.close()
        self._keepers.close()

    def count(self, owner: str, size: int) -> int:
        """Count bytes that came in; all that are coming in of that owner."""
        self._coming[owner] += size
        return self._coming[owner]

    async def write(self, incoming: Incoming, data: bytes) -> None:
        """Write a piece."""
        with _stored():
            await self._writers.run(incoming.write, data)

    async def keep(self, draft: Path, job_id: str) -> None:
        """Bring a whole file to its place as the input of a job."""
        with _stored():
            await self._keepers.run(self._files.keep, draft, job_id, INPUT)


class Upload:
    """A file that comes in; ``incoming`` is what was written of it so far."""

    def __init__(
        self, uploads: Uploads, owner: str, room: int, draft: Path, incoming: Incoming
    ) -> None:
        self.incoming = incoming
        self.size = 0
        self._uploads, self._owner, self._room, self._draft = uploads, owner, room, draft
        self._waiting: list[bytes] = []
        self._waits = 0

    async def take(self, data: bytes) -> None:
        """Add these bytes, which are written a piece at a time; NoRoomError where they are many."""
        self.size += len(data)
        if self._uploads.count(self._owner, len(data)) > self._room:
            raise NoRoomError(f"{self._room:,} bytes more may be kept, and more are coming in")
        self._waiting.append(data)
        self._waits += len(data)
        if self._waits >= PIECE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits to be."""
        data, self._waiting, self._waits = b"".join(self._waiting), [], 0
        if data:
            await self._uploads.write(self.incoming, data)

    async def keep(self, job_id: str) -> None:
        """Store the file as the input of a job; it is whole."""
        await self._uploads.keep(self._draft, job_id)


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    """A request's body as it comes; Problem where it breaks off or stalls."""
    while True:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message = await receive()
        except TimeoutError:
            said = f"Nothing of the body came for {STALL_SECONDS:g} s, so it was given up."
            raise Problem(408, "body_broken_off", said) from None
        if message["type"] == "http.disconnect":
            raise Problem(400, "body_broken_off", "The connection was closed within the body.")
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


@contextmanager
def _draft(files: JobFiles) -> Iterator[tuple[Path, Incoming]]:
    with files.draft() as path:
        incoming = Incoming(path)
        try:
            yield path, incoming
        finally:
            incoming.close()


@contextmanager
def _stored() -> Iterator[None]:
    """Problem 503 where the store does not take a file."""
    try:
        yield
    except (StoreError, OSError) as error:
        LOG.error("upload_not_stored", error=str(error))
        raise store_unreachable("The file cannot be stored now.") from error
