"""Files of questions over HTTP: streamed to the store whole or not at all, one job a call."""

from __future__ import annotations

import gzip
import io
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.jobs.files import Incoming
from ml.lifecycle.workspace import Workspace
from tests.api.bulk import CSV, LINES, ROUTE, ROWS, ann, drafts, hundred, left, owned, run, stored
from tests.api.test_decisions import problem
from warehouse.database import reading
from warehouse.repositories import jobs

__all__ = ["ann"]


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"client_id": ["c03", "nobody"], "revenue_30d": [5.0, None]}), out)
    return out.getvalue()


SENT = {
    "csv": {"content": ROWS, "headers": CSV},
    "csv with a charset": {"content": ROWS, "headers": {"Content-Type": "text/csv; charset=utf-8"}},
    "format before type": {"content": LINES, "headers": CSV, "params": {"format": "ndjson"}},
    "ndjson": {"content": LINES, "headers": {"Content-Type": "application/x-ndjson"}},
    "parquet": {
        "content": parquet(),
        "headers": {"Content-Type": "application/vnd.apache.parquet"},
    },
    "format": {"content": parquet(), "params": {"format": "parquet"}},
    "encoded": {"content": gzip.compress(ROWS), "headers": {**CSV, "Content-Encoding": "gzip"}},
    "gzip unsaid": {"content": gzip.compress(LINES), "params": {"format": "ndjson"}},
    "form": {"files": {"file": ("clients.csv", ROWS, "text/csv")}},
    "form by name": {"files": {"file": ("clients.jsonl", LINES, "application/octet-stream")}},
    "form in gzip": {"files": {"rows": ("clients.csv.gz", gzip.compress(ROWS))}},
    "form and format": {"files": {"file": ("clients", parquet())}, "params": {"format": "parquet"}},
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_a_file_in_any_form_is_stored_as_it_came_and_answered(
    ann: httpx.Client, workspace: Workspace, sent: dict[str, Any]
) -> None:
    answer = ann.post(ROUTE, **sent)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/api/jobs/{job['id']}"
    assert (job["state"], job["kind"], job["model"]) == ("queued", "bulk", "repeat_orders")
    [file] = sent.get("files", {"": (None, sent.get("content"))}).values()
    assert stored(workspace, job["id"]) == file[1]
    assert (job["file"], job["bytes"]) == (file[0], len(file[1]))
    assert drafts(workspace) == []
    ended = run(workspace, job["id"])
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", 1, 1), ended.error


def test_a_body_of_unknown_length_comes_in_piece_by_piece(
    ann: httpx.Client, workspace: Workspace
) -> None:
    answer = ann.post(ROUTE, content=hundred(), headers=CSV)
    whole = b"".join(hundred())
    assert stored(workspace, answer.json()["id"]) == whole
    with reading(workspace.engine) as connection:
        job = jobs.get(connection, answer.json()["id"])
    assert job is not None
    assert (job.bytes, job.params["lines"]) == (len(whole), 100_000)


@pytest.mark.parametrize("name", ["a" * 3000, "c\x00\n\x7f.csv", "ä'\"\\;.csv", "../../etc/x.csv"])
def test_a_files_name_is_shown_and_leads_nowhere(
    ann: httpx.Client, workspace: Workspace, name: str
) -> None:
    answer = ann.post(ROUTE, params={"format": "csv"}, files={"file": (name, ROWS)})
    assert answer.status_code == 202, answer.text
    shown = answer.json()["file"]
    assert shown.isprintable()
    assert 0 < len(shown) <= 200
    assert stored(workspace, answer.json()["id"]) == ROWS


FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n'
REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "empty": ({"content": b"", "headers": CSV}, 422, "invalid_request", "empty"),
    "no type": ({"content": ROWS}, 415, "unknown_form", "Content-Type 'none'"),
    "octets": (
        {"content": ROWS, "headers": {"Content-Type": "application/octet-stream"}},
        *(415, "unknown_form", "?format="),
    ),
    "form that says nothing": (
        {"files": {"file": ("rows.xlsx", ROWS)}},
        *(415, "unknown_form", "rows.xlsx"),
    ),
    "no such format": (
        {"content": ROWS, "params": {"format": "xml"}},
        *(422, "invalid_request", "/format"),
    ),
    "json as csv": ({"content": LINES, "headers": CSV}, 422, "unreadable_file", "JSON"),
    "parquet as csv": ({"content": parquet(), "headers": CSV}, 422, "unreadable_file", "Parquet"),
    "json in gzip as csv": (
        {"content": gzip.compress(LINES), "headers": CSV},
        *(422, "unreadable_file", "JSON"),
    ),
    "csv as parquet": (
        {"content": ROWS, "params": {"format": "parquet"}},
        *(422, "unreadable_file", "not PARQUET"),
    ),
    "a list": (
        {"content": b'[{"client_id": 1}]', "params": {"format": "ndjson"}},
        *(422, "unreadable_file", "one JSON list"),
    ),
    "a spreadsheet": (
        {"content": b"PK\x03\x04", "params": {"format": "csv"}},
        *(422, "unreadable_file", "a spreadsheet"),
    ),
    "no gzip": (
        {"content": ROWS, "headers": {**CSV, "Content-Encoding": "gzip"}},
        *(422, "unreadable_file", "not gzip"),
    ),
    "parquet in gzip": (
        {"content": gzip.compress(parquet()), "params": {"format": "parquet"}},
        *(422, "unreadable_file", "without gzip"),
    ),
    "another encoding": (
        {"content": ROWS, "headers": {**CSV, "Content-Encoding": "br"}},
        *(415, "unknown_form", "'br'"),
    ),
    "form in an encoding": (
        {"content": b"", "headers": {**FORM, "Content-Encoding": "gzip"}},
        *(415, "unknown_form", "pack the file inside"),
    ),
    "two files": (
        {"files": [("file", ("a.csv", ROWS)), ("file", ("b.csv", ROWS))]},
        *(422, "invalid_request", "several files"),
    ),
    "a field": (
        {"data": {"reasons": "true"}, "files": {"file": ("a.csv", ROWS)}},
        *(422, "invalid_request", "'reasons'"),
    ),
    "no file": (
        {"content": b"--x--\r\n", "headers": FORM},
        *(422, "invalid_request", "no part with a file"),
    ),
    "no form": ({"content": ROWS, "headers": FORM}, 422, "invalid_request", "no form"),
    "no boundary": (
        {"content": ROWS, "headers": {"Content-Type": "multipart/form-data"}},
        *(422, "invalid_request", "boundary"),
    ),
    "a long boundary": (
        {
            "content": ROWS,
            "headers": {"Content-Type": f"multipart/form-data; boundary={'x' * 300}"},
        },
        *(422, "invalid_request", "oundary"),
    ),
    "a form that breaks off": (
        {
            "content": PART + b"\r\na",
            "headers": FORM,
        },
        *(422, "invalid_request", "breaks off"),
    ),
    "base64": (
        {
            "content": PART + b"Content-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--x--\r\n",
            "headers": FORM,
        },
        *(422, "invalid_request", "'base64'"),
    ),
    "all and a file": (
        {"content": ROWS, "headers": CSV, "params": {"all": "true"}},
        *(422, "invalid_request", "no body"),
    ),
    "all and a format": (
        {"params": {"all": "true", "format": "csv"}},
        *(422, "invalid_request", "all=true"),
    ),
    "reasons perhaps": (
        {"content": ROWS, "headers": CSV, "params": {"reasons": "perhaps"}},
        *(422, "invalid_request", "/reasons"),
    ),
    "a long key": (
        {"content": ROWS, "headers": {**CSV, "Idempotency-Key": "x" * 201}},
        *(422, "invalid_request", "Idempotency-Key"),
    ),
}


@pytest.mark.parametrize(("sent", "status", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_plainly_no_such_file_is_refused_and_leaves_nothing(
    ann: httpx.Client, workspace: Workspace, sent: dict[str, Any], status: int, code: str, said: str
) -> None:
    answer = ann.post(ROUTE, **sent)
    assert said in problem(answer, status, code)["detail"]
    assert owned(ann) == []
    assert drafts(workspace) == []
    assert left(workspace) == set()


def test_a_form_of_another_kind_is_refused_long_before_its_end(
    ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    real = Incoming.write

    def write(self: Incoming, data: bytes) -> None:
        written.append(len(data))
        real(self, data)

    monkeypatch.setattr(Incoming, "write", write)
    lines = (LINES * 1_000 for _ in range(200))
    answer = ann.post(ROUTE, content=lines, headers=CSV)
    problem(answer, 422, "unreadable_file")
    assert sum(written) < 1_000_000
