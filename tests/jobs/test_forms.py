"""A file is refused early where it is plainly another, never where it may be what it is said."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.jobs.files import Incoming
from ml.jobs.forms import LOOKED_AT, Form, check_begins
from ml.refusals import FileError


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"client_id": ["C1"]}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"client_id,features.x\nC1,2\n", "csv"),
        (b'\xef\xbb\xbf"client_id"\nC1\n', "csv"),
        (b"[odd],client_id\n", "csv"),
        (b"\n", "csv"),
        (b'{"client_id": "C1"}\n', "ndjson"),
        (b'\xef\xbb\xbf \r\n {"client_id": "C1"}', "ndjson"),
        (b'broken\n{"client_id": "C1"}\n', "ndjson"),
        (b"[1]\n", "ndjson"),
        (parquet(), "parquet"),
    ],
)
def test_what_may_be_of_its_form_passes_plain_and_packed(content: bytes, form: Form) -> None:
    assert check_begins(content[:LOOKED_AT], form, False) is False
    if form != "parquet":
        packed = gzip.compress(content)[:LOOKED_AT]
        assert check_begins(packed, form, False) is True
        assert check_begins(packed, form, True) is True
        with pytest.raises(FileError, match="not gzip"):
            check_begins(content[:LOOKED_AT], form, True)


@pytest.mark.parametrize(
    ("content", "form", "said"),
    [
        (b'{"client_id": "C1"}\n', "csv", "not CSV, it is JSON"),
        (b'[\n {"client_id": "C1"}]', "ndjson", "one JSON list"),
        (b"[ ]", "ndjson", "one JSON list"),
        (parquet(), "ndjson", "not NDJSON, it is Parquet"),
        (b"client_id\n", "parquet", "not PARQUET"),
        (b'{"client_id": "C1"}\n', "parquet", "not PARQUET, it is JSON"),
        (b"PK\x03\x04...", "csv", "a spreadsheet"),
        ("client_id\nC1\n".encode("utf-16"), "csv", "UTF-16"),
        (b"%PDF-1.7", "csv", "a PDF"),
        (b"\x1f\x8bnot really", "csv", "not whole gzip"),
    ],
)
def test_what_is_plainly_another_is_named(content: bytes, form: Form, said: str) -> None:
    with pytest.raises(FileError, match=said):
        check_begins(content[:LOOKED_AT], form, False)
    if not content.startswith(b"\x1f\x8b"):
        with pytest.raises(FileError, match="without gzip" if form == "parquet" else said):
            check_begins(gzip.compress(content)[:LOOKED_AT], form, False)


@given(pieces=st.lists(st.text(alphabet="a\n\x1fP", max_size=700).map(str.encode), max_size=8))
def test_a_file_that_comes_in_pieces_is_counted_as_a_whole(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("incoming") / "file"
    incoming = Incoming(path)
    for piece in pieces:
        incoming.write(piece)
    incoming.close()
    whole = b"".join(pieces)
    assert path.read_bytes() == whole
    assert incoming.digest == hashlib.sha256(whole).hexdigest()
    assert (incoming.size, incoming.begins) == (len(whole), whole[:LOOKED_AT])
    assert incoming.lines == len(whole.decode().split("\n")) - (whole[-1:] in (b"", b"\n"))


@pytest.mark.parametrize(
    "content", [gzip.compress(b"a\nb\n", mtime=0), parquet()], ids=["gzip", "parquet"]
)
def test_the_lines_of_what_is_packed_are_not_known(tmp_path: Path, content: bytes) -> None:
    incoming = Incoming(tmp_path / "file")
    incoming.write(content)
    incoming.close()
    assert incoming.lines is None
