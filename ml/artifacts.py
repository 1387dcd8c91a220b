"""Artifact folders: what a training leaves behind, with sums that prove it is intact.

A version's name ends in a hash of what was learned and judged, so the same training writes the
same version, and a retry after a crash writes nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ml.refusals import Refusal

MANIFEST = "manifest.json"
FITTED = "fitted"
DRAFT = ".draft-"


class DamagedArtifactError(Refusal):
    """An artifact's files are not those that were written; the message names the file."""


@dataclass(frozen=True)
class Artifact:
    """A version's folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

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
                raise DamagedArtifactError(f"{self.version}: {name} is missing")
            if sha256(path) != expected:
                raise DamagedArtifactError(
                    f"{self.version}: {name} is not the file that was written (its sha256"
                    " differs); roll back with `sevenfold models rollback`, or train again"
                )


class ArtifactStore:
    """Artifact folders below one root: ``<root>/<model>/<version>/``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(
        self,
        model: str,
        as_of: date,
        save: Callable[[Path], None],
        manifest: Mapping[str, Any],
    ) -> Artifact:
        """Let ``save`` fill a folder, then move it to its version's place in one step.

        The manifest gets ``version`` and ``sha256`` (a sum for each file). A version that is
        there already and intact stays as it is: it may be serving. Pages (``.md``) say how it
        compared with the champion of the day, so they are not part of the name.
        """
        home = self.root / model
        home.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=home))
        try:
            save(draft)
            sums = {
                str(path.relative_to(draft)): sha256(path)
                for path in sorted(draft.rglob("*"))
                if path.is_file()
            }
            learned = {name: sum_ for name, sum_ in sums.items() if not name.endswith(".md")}
            digest = hashlib.sha256(json.dumps(learned).encode()).hexdigest()[:10]
            version = f"{model}-{as_of:%Y%m%d}-{digest}"
            full = {**manifest, "model": model, "version": version, "sha256": sums}
            (draft / MANIFEST).write_text(json.dumps(full, indent=2, default=str) + "\n")
            final = home / version
            if final.exists():
                try:
                    return self.open(model, version)
                except DamagedArtifactError:
                    shutil.rmtree(final)
            draft.replace(final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return Artifact(final, full)

    def remove_drafts(self, before: datetime) -> int:
        """Remove what trainings that died before that time left unfinished; returns how many."""
        old = [
            draft
            for draft in self.root.glob(f"*/{DRAFT}*")
            if draft.stat().st_mtime < before.timestamp()
        ]
        for draft in old:
            shutil.rmtree(draft)
        return len(old)

    def open(self, model: str, version: str, verify: bool = True) -> Artifact:
        """The artifact of a version, its sums checked unless told otherwise."""
        folder = self.root / model / version
        path = folder / MANIFEST
        if not path.is_file():
            raise DamagedArtifactError(
                f"{version}: no artifact in {folder}; restore the folder, or train again with"
                f" `sevenfold run --models {model}`"
            )
        artifact = Artifact(folder, json.loads(path.read_text()))
        if verify:
            artifact.verify()
        return artifact


def sha256(path: Path) -> str:
    """The hex sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
