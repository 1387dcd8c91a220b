"""The files of bulk jobs below the store's root: what was sent, and the parts of the outcomes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from warehouse.objects import Objects, StoreError, remote

INPUT = "input"
DRAFT = ".draft-"
JOB = "job_"
"""How a job's id begins, and so its folder's name."""


class MissingFileError(StoreError):
    """The store answers, and has no such file."""


class JobFiles:
    """Files by job and name, in a folder or an object store; each appears whole or not at all."""

    def __init__(self, root: str, work: Path) -> None:
        """``work`` is the local folder for files on their way to or from a remote root."""
        self._objects = Objects(root) if remote(root) else None
        self._root = work if self._objects else Path(root)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A local file to write, gone at the end unless it was kept."""
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._root, prefix=DRAFT, delete=False) as file:
            path = Path(file.name)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, draft: Path, job: str, name: str) -> None:
        """Bring a draft to its place; one that is there is replaced."""
        if self._objects is not None:
            self._objects.upload(draft, f"{job}/{name}")
            return
        target = self._root / job / name
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(target)

    @contextmanager
    def local(self, job: str, name: str) -> Iterator[Path]:
        """A file as it can be opened here; MissingFileError where there is none."""
        if self._objects is None:
            path = self._root / job / name
            if not path.is_file():
                raise MissingFileError(f"{path}: there is no such file")
            yield path
            return
        with self.draft() as copy:
            if not self._objects.download(f"{job}/{name}", copy):
                uri = self._objects.uri(f"{job}/{name}")
                raise MissingFileError(f"{uri}: there is no such file")
            yield copy

    def jobs(self) -> dict[str, datetime]:
        """The jobs that have files, and when one was last written; other things are not ours."""
        found: dict[str, datetime] = {}
        if self._objects is not None:
            for path, written in self._objects.files().items():
                job = path.split("/", 1)[0]
                if job.startswith(JOB):
                    found[job] = max(written, found.get(job, written))
        elif self._root.is_dir():
            folders = (folder for folder in self._root.glob(f"{JOB}*") if folder.is_dir())
            found = {folder.name: _written(folder) for folder in folders}
        return found

    def remove_drafts(self, before: datetime) -> int:
        """Remove what processes that died left unfinished before that time; returns how many."""
        old = [path for path in self._root.glob(f"{DRAFT}*") if _written(path) < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def remove(self, job: str) -> None:
        """Remove all files of a job, where there are any."""
        if self._objects is None:
            shutil.rmtree(self._root / job, ignore_errors=True)
            return
        for path in self._objects.files(job):
            self._objects.remove(path)


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
