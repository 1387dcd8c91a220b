"""Artifact folders: what a training leaves behind, with sums that prove it is intact.

A version's name ends in a hash of what was learned and judged, so the same training writes the
same version, and a retry after a crash writes nothing twice. They lie in a folder or in an object
store; what reads them always gets a local folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ml.refusals import Refusal
from warehouse.objects import Objects, remote

MANIFEST = "manifest.json"
FITTED = "fitted"
DRAFT = ".draft-"
JUDGED_BY = ("format", "metrics", "baseline")
"""What of the manifest is part of a version's name: code that judges otherwise makes another."""


class DamagedArtifactError(Refusal):
    """An artifact's files are not those that were written; the message names the file."""

    to_mend = True


@dataclass(frozen=True)
class Artifact:
    """A version: a local folder with its files, its manifest, and its place in the store."""

    folder: Path
    manifest: Mapping[str, Any]
    origin: str

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    @property
    def known_through(self) -> date:
        return date.fromisoformat(self.manifest["known_through"])

    @property
    def fitted_folder(self) -> Path:
        return self.folder / FITTED

    def verify(self) -> None:
        """Compare every file with its sum in the manifest."""
        for name, expected in self.manifest["sha256"].items():
            path = self.folder / name
            if not path.is_file():
                raise DamagedArtifactError(f"{self.origin}/{name} is missing")
            if sha256(path) != expected:
                raise DamagedArtifactError(
                    f"{self.origin}/{name} is not the file that was written (its sha256"
                    " differs); roll back with `sevenfold models rollback`, or train again"
                )


class ArtifactStore:
    """Artifacts below one root, a folder or an object store's URI: ``<root>/<model>/<version>/``.

    ``cache`` is the local folder for copies of a remote root's artifacts, and for drafts.
    """

    def __init__(self, root: str | Path, cache: Path | None = None) -> None:
        self.root = str(root).rstrip("/")
        self.cache = cache

    def write(
        self,
        model: str,
        as_of: date,
        save: Callable[[Path], None],
        manifest: Mapping[str, Any],
    ) -> Artifact:
        """Let ``save`` fill a draft folder, then bring it to its version's place.

        The manifest gets ``version`` and ``sha256`` (a sum for each file). A version that is
        there already and intact stays as it is: it may be serving. Pages (``.md``) say how it
        compared with the champion of the day, so they are not part of the name.
        """
        draft = _draft(self._place.work / model)
        try:
            save(draft)
            sums = {
                path.relative_to(draft).as_posix(): sha256(path)
                for path in sorted(draft.rglob("*"))
                if path.is_file()
            }
            learned = {name: sum_ for name, sum_ in sums.items() if not name.endswith(".md")}
            named_by = [learned, {name: manifest.get(name) for name in JUDGED_BY}]
            digest = hashlib.sha256(json.dumps(named_by).encode()).hexdigest()[:10]
            version = f"{model}-{as_of:%Y%m%d}-{digest}"
            full = {**manifest, "model": model, "version": version, "sha256": sums}
            (draft / MANIFEST).write_text(json.dumps(full, indent=2, default=str) + "\n")
            try:
                return self.open(model, version)
            except DamagedArtifactError:
                self._place.put(draft, model, version)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return self.open(model, version)  # what a reader would get, not what was meant

    def remove_drafts(self, before: datetime) -> int:
        """Remove what trainings that died before that time left unfinished; returns how many."""
        return self._place.remove_drafts(before)

    def open(self, model: str, version: str) -> Artifact:
        """The artifact of a version, its sums checked."""
        folder = self._place.get(model, version)
        origin = f"{model}/{version}"  # callers of the API see it: it must name no path
        if folder is None:
            raise DamagedArtifactError(
                f"the store of models holds no {origin}; restore it, or train again with"
                f" `sevenfold run --models {model}`"
            )
        artifact = _artifact(folder, origin)
        artifact.verify()
        return artifact

    @cached_property
    def _place(self) -> _Place:
        if not remote(self.root):
            return _Folder(Path(self.root))
        if self.cache is None:
            raise ValueError(f"artifacts in {self.root} need a local folder for their copies")
        return _Bucket(self.root, self.cache)


class _Place(Protocol):
    """Where versions lie; ``work`` is the local folder of the drafts."""

    work: Path

    def get(self, model: str, version: str) -> Path | None:
        """A local folder with the version's files; None where there is no such version."""

    def put(self, draft: Path, model: str, version: str) -> None:
        """Make the draft the version, in place of a damaged one; readers see all of it or none."""

    def remove_drafts(self, before: datetime) -> int:
        """Remove what was left unfinished before that time; returns how many."""


class _Folder:
    """Versions in a local folder: a draft lies beside them and is moved in one step."""

    def __init__(self, root: Path) -> None:
        self.work = root

    def get(self, model: str, version: str) -> Path | None:
        folder = self.work / model / version
        return folder if (folder / MANIFEST).is_file() else None

    def put(self, draft: Path, model: str, version: str) -> None:
        final = self.work / model / version
        shutil.rmtree(final, ignore_errors=True)
        draft.replace(final)

    def remove_drafts(self, before: datetime) -> int:
        return _remove_drafts(self.work, before)


class _Bucket:
    """Versions in an object store, copied to a local folder to be read.

    The manifest is written last and removed first: a version without one does not exist.
    """

    def __init__(self, root: str, cache: Path) -> None:
        self.work = cache
        self.objects = Objects(root)

    def get(self, model: str, version: str) -> Path | None:
        found = self.objects.read(f"{model}/{version}/{MANIFEST}")
        if found is None:
            return None
        # Named by the sums that it must have, so that a copy is never older than the object.
        copy = self.work / model / f"{version}-{hashlib.sha256(found).hexdigest()[:16]}"
        origin = f"{model}/{version}"
        if copy.is_dir():
            try:
                _artifact(copy, origin).verify()
                return copy
            except DamagedArtifactError:
                shutil.rmtree(copy)
        draft = _draft(copy.parent)
        try:
            (draft / MANIFEST).write_bytes(found)
            artifact = _artifact(draft, origin)
            for name in artifact.manifest["sha256"]:
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                self.objects.download(f"{model}/{version}/{name}", draft / name)
            artifact.verify()
            _move(draft, copy)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return copy

    def put(self, draft: Path, model: str, version: str) -> None:
        manifest = f"{model}/{version}/{MANIFEST}"
        if self.objects.read(manifest) is not None:
            self.objects.remove(manifest)
        for path in sorted(draft.rglob("*")):
            name = path.relative_to(draft).as_posix()
            if path.is_file() and name != MANIFEST:
                self.objects.upload(path, f"{model}/{version}/{name}")
        self.objects.upload(draft / MANIFEST, manifest)

    def remove_drafts(self, before: datetime) -> int:
        removed = _remove_drafts(self.work, before)
        versions: dict[str, dict[str, datetime]] = {}
        for path, written in self.objects.files().items():
            match path.split("/", 2):
                case [model, version, _]:
                    versions.setdefault(f"{model}/{version}", {})[path] = written
        for folder, files in versions.items():
            if f"{folder}/{MANIFEST}" in files or max(files.values()) >= before:
                continue
            for path in files:
                self.objects.remove(path)
            removed += 1
        return removed


def sha256(path: Path) -> str:
    """The hex sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _artifact(folder: Path, origin: str) -> Artifact:
    try:
        return Artifact(folder, json.loads((folder / MANIFEST).read_text()), origin)
    except ValueError as error:
        raise DamagedArtifactError(f"{origin}/{MANIFEST} cannot be read: {error}") from error


def _draft(home: Path) -> Path:
    """A new folder beside the place that its files will move to."""
    home.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=DRAFT, dir=home))


def _move(draft: Path, copy: Path) -> None:
    """Move a copy to its place; whoever brought the same one there meanwhile was as good."""
    try:
        draft.replace(copy)
    except OSError:
        if not copy.is_dir():
            raise


def _remove_drafts(root: Path, before: datetime) -> int:
    old = [
        draft
        for draft in root.glob(f"*/{DRAFT}*")
        if datetime.fromtimestamp(draft.stat().st_mtime, UTC) < before
    ]
    for draft in old:
        shutil.rmtree(draft)
    return len(old)
