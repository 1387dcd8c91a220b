"""Where the files of jobs lie, and how one comes in: counted, hashed and looked at as it does."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ml.jobs.forms import GZIP_MAGIC, LOOKED_AT, PARQUET_MAGIC
from ml.lifecycle.workspace import Workspace
from warehouse.job_files import JobFiles


def job_files(workspace: Workspace) -> JobFiles:
    """The files of a workspace's jobs."""
    return JobFiles(*files_of(workspace))


def files_of(workspace: Workspace) -> tuple[str, Path]:
    """The root of the files of a workspace's jobs, and the folder for those on their way."""
    return workspace.settings.jobs, workspace.settings.home / "copies" / "jobs"


class Incoming:
    """A file that is written as it comes; ``close`` it at the end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self._breaks = 0
        self._last = b""
        self.begins = b""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._hash.update(data)
        self.size += len(data)
        self.begins += data[: LOOKED_AT - len(self.begins)]
        self._breaks += data.count(b"\n")
        self._last = data[-1:] or self._last

    def close(self) -> None:
        """Close the file; what was found out stays."""
        self._file.close()

    @property
    def digest(self) -> str:
        """The hex sha256 of all bytes so far."""
        return self._hash.hexdigest()

    @property
    def lines(self) -> int | None:
        """How many lines the file has; None where it is no plain text."""
        if self.begins.startswith((GZIP_MAGIC, PARQUET_MAGIC)):
            return None
        return self._breaks + (self._last not in (b"", b"\n"))
