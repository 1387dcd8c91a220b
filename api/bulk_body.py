"""A bulk upload taken in: what it is said to be, and whether it begins so."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from api.multipart import FilePart
from api.problems import Problem, refused
from api.uploads import Upload, pieces
from ml.jobs.forms import FORMS, Form, check_begins, form_of
from ml.refusals import FileError

TYPES: dict[str, Form] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/vnd.apache.parquet": "parquet",
}
"""The form of a file by its Content-Type."""
MULTIPART = "multipart/form-data"
GZIP_TYPES = ("application/gzip", "application/x-gzip")


@dataclass
class Sent:
    """What a file is: by what was said of it, and by how it begins."""

    form: Form
    gzipped: bool
    name: str = ""


async def received(request: Request, upload: Upload, form: Form | None) -> Sent:
    """Take in the whole file; Problem where it is plainly not what it is said to be."""
    content_type = request.headers.get("content-type", "")
    part = FilePart(content_type) if _kind(content_type) == MULTIPART else None
    packed = _packed(request, part)
    sent = None if part else _said(content_type, "", form, packed)
    checked = False
    async for piece in pieces(request.receive):
        data = piece
        if part is not None:
            data = part.feed(piece)
            if sent is None and part.name is not None:
                sent = _said(part.content_type, part.name, form, packed)
        await upload.take(data)
        if sent is not None and upload.incoming.begins and not checked:
            _check(upload, sent)
            checked = True
    if part is not None:
        part.end()
    await upload.flush()
    if not upload.size or sent is None:
        raise refused("file", "the file is empty; without one, all=true asks about all there is")
    _check(upload, sent)
    return sent


def _said(content_type: str, name: str, form: Form | None, packed: bool) -> Sent:
    """What a file is said to be: by the query, else by its type, else by its name."""
    kind = _kind(content_type)
    packed = packed or kind in GZIP_TYPES or name.lower().endswith(".gz")
    form = form or TYPES.get(kind)
    if form is None and name:
        try:
            form, _ = form_of(name)
        except FileError as error:
            raise Problem(415, "unknown_form", f"{error}.") from None
    if form is None:
        raise Problem(
            415,
            "unknown_form",
            f"Content-Type {kind or 'none'!r} does not say what the file is: send one of"
            f" {', '.join(TYPES)}, or ?format= with one of {', '.join(FORMS)}.",
        )
    return Sent(form, packed, name)


def _packed(request: Request, part: FilePart | None) -> bool:
    """Whether the body is said to be gzip; Problem for other encodings, and for a form in gzip."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return False
    if encoding not in ("gzip", "x-gzip") or part is not None:
        inside = ", and a form is not: pack the file inside" if part is not None else ""
        raise Problem(
            415,
            "unknown_form",
            f"Content-Encoding {encoding!r} is not read here: files are taken plain or as gzip"
            f"{inside}.",
        )
    return True


def _check(upload: Upload, sent: Sent) -> None:
    try:
        sent.gzipped = check_begins(upload.incoming.begins, sent.form, sent.gzipped)
    except FileError as error:
        said = str(error)
        raise Problem(422, "unreadable_file", f"{said[0].upper()}{said[1:]}.") from None


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
