"""Objects of a store below one URI, such as ``s3://bucket/prefix``: list, read, write, remove.

The store's credentials and endpoint come from its own environment variables, the ones that
delta-rs reads for the lake (``AWS_ACCESS_KEY_ID``, ``AWS_REGION``, ``AWS_ENDPOINT_URL`` …).
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMES = ("s3", "gs", "abfs", "abfss")
"""What both delta-rs, which writes the lake, and pyarrow, which writes the artifacts, know."""


class StoreError(RuntimeError):
    """The store cannot be reached or refuses; the message names the URI."""


def in_one_line(error: Exception) -> str:
    """A client's message without its colours, arrows and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", " ", str(error)).split())


def remote(root: str | Path) -> bool:
    """Whether the root is an object store's URI, not a folder."""
    return "://" in str(root)


class Objects:
    """The objects below one root; paths are relative to it, with slashes."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._opened: tuple[Any, str] | None = None

    def uri(self, path: str) -> str:
        """Where an object lies."""
        return f"{self.root}/{path}"

    def require(self) -> None:
        """Refuse a store that cannot be reached, or that lacks the bucket."""
        from pyarrow import fs

        with self._named(self.root):
            store, prefix = self._store()
            bucket = prefix.split("/")[0]
            if store.get_file_info(bucket).type is fs.FileType.NotFound:
                raise FileNotFoundError(f"there is no bucket {bucket!r}")

    def files(self, folder: str = "") -> dict[str, dt.datetime]:
        """Every object's path, of those in a folder, and when it was last written."""
        from pyarrow import fs

        with self._named(self.root):
            store, prefix = self._store()
            found = store.get_file_info(
                fs.FileSelector(
                    f"{prefix}/{folder}".rstrip("/"), recursive=True, allow_not_found=True
                )
            )
        return {info.path.removeprefix(f"{prefix}/"): info.mtime for info in found if info.is_file}

    def read(self, path: str) -> bytes | None:
        """An object's bytes; None where there is none of that path."""
        with self._named(self.uri(path)):
            store, prefix = self._store()
            try:
                with store.open_input_stream(f"{prefix}/{path}", compression=None) as stream:
                    return bytes(stream.readall())
            except FileNotFoundError:
                return None

    def download(self, path: str, target: Path) -> bool:
        """Copy an object to a file; False where there is none of that path."""
        with self._named(self.uri(path)):
            store, prefix = self._store()
            try:
                stream = store.open_input_stream(f"{prefix}/{path}", compression=None)
            except FileNotFoundError:
                return False
            with stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file)
        return True

    def upload(self, source: Path, path: str) -> None:
        """Copy a file to an object, which appears whole or not at all."""
        with self._named(self.uri(path)), source.open("rb") as file:
            store, prefix = self._store()
            # Without a compression named, a path that ends in .gz would be compressed once more.
            with store.open_output_stream(f"{prefix}/{path}", compression=None) as stream:
                shutil.copyfileobj(file, stream)

    def remove(self, path: str) -> None:
        """Remove an object."""
        with self._named(self.uri(path)):
            store, prefix = self._store()
            store.delete_file(f"{prefix}/{path}")

    def _store(self) -> tuple[Any, str]:
        from pyarrow import fs

        if self._opened is None:
            store, prefix = fs.FileSystem.from_uri(self.root)
            if isinstance(store, fs.S3FileSystem):
                # In the background, writes would hold a whole file in memory. A URI cannot say so,
                # and this is how a store is copied to another process.
                rebuilt, (options,) = store.__reduce__()
                store = rebuilt({**options, "background_writes": False})
            self._opened = store, prefix
        return self._opened

    @contextmanager
    def _named(self, uri: str) -> Iterator[None]:
        from pyarrow import ArrowException

        try:
            yield
        except (OSError, ArrowException) as error:
            raise StoreError(
                f"{uri}: the store does not answer as it should ({in_one_line(error)});"
                " check SEVENFOLD_STORE, and the store's own variables for endpoint, region and"
                " credentials"
            ) from error
