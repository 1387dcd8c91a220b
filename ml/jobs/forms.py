"""Which form a file of rows has: by its name, and by how it begins."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal, get_args

from ml.refusals import FileError

Form = Literal["csv", "ndjson", "parquet"]
FORMS: tuple[Form, ...] = get_args(Form)
ENDINGS: dict[str, Form] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
LOOKED_AT = 512
"""Bytes of a file's beginning that say what it is."""
NAMES = {"ndjson": "JSON, an object a line", "parquet": "Parquet"}
OTHERS = {
    b"PK\x03\x04": "a ZIP file or a spreadsheet",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"%PDF": "a PDF",
}


def form_of(name: str) -> tuple[Form, bool]:
    """The form that a file's name says, and whether it is gzip; FileError where it says none."""
    ending = name.lower()
    gzipped = ending.endswith(".gz")
    form = ENDINGS.get(Path(ending.removesuffix(".gz")).suffix)
    if form is None:
        raise FileError(
            f"{Path(name).name!r} ends like no file of rows: name one of"
            f" {', '.join(sorted(ENDINGS))}, also with .gz, or say which it is of"
            f" {', '.join(FORMS)}"
        )
    return form, gzipped


def check_begins(begins: bytes, form: Form, gzipped: bool) -> bool:
    """Whether a file that begins so is gzip; FileError where it is plainly not what it is said.

    ``begins`` are its first ``LOOKED_AT`` bytes, fewer where it is shorter; ``gzipped`` says that
    it was said to be gzip, which need not be said.
    """
    packed = begins.startswith(GZIP_MAGIC)
    if gzipped and not packed:
        raise FileError("the file is not gzip")
    if packed:
        if form == "parquet":
            raise FileError("Parquet is compressed inside: send it without gzip")
        begins = _unpacked(begins)
    found = _plainly(begins)
    if found is None and form != "parquet":
        return packed
    if found != form:
        other = f", it is {NAMES.get(found, found)}" if found else ""
        raise FileError(f"the file is not {form.upper()}{other}")
    return packed


def _plainly(begins: bytes) -> str | None:
    """What a file that begins so can only be; None where it may be several things."""
    if begins.startswith(PARQUET_MAGIC):
        return "parquet"
    for sign, name in OTHERS.items():
        if begins.startswith(sign):
            return name
    text = begins.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return "ndjson"
    if text.startswith(b"[") and text[1:].lstrip().startswith((b"{", b"]")):
        return "one JSON list: write an object a line, without the brackets and commas"
    return None


def _unpacked(begins: bytes) -> bytes:
    """The beginning of what a gzip file holds, as far as it can be told."""
    try:
        return zlib.decompressobj(wbits=31).decompress(begins, LOOKED_AT)
    except zlib.error as error:
        raise FileError(f"the file is not whole gzip: {error}") from error
