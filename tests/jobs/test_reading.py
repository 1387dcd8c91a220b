"""Every row of a file is read once, by its line, whatever stands between."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.jobs import reading
from ml.jobs.reading import LONGEST_LINE, Form, Rows, read_rows
from ml.refusals import FileError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
HERE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path: Path, form: Form = "csv", gzipped: bool = False, size: int = 3) -> list[Rows]:
    return list(read_rows(path, form, gzipped, size))


def by_line(found: list[Rows]) -> dict[int, dict[str, object]]:
    rows: dict[int, dict[str, object]] = {}
    for chunk in found:
        assert chunk.table is not None or not len(chunk.lines)
        values = chunk.table.to_pylist() if chunk.table is not None else []
        for line, row in zip(chunk.lines.tolist(), values, strict=True):
            assert line not in rows
            rows[line] = row
    return rows


def wrong(found: list[Rows]) -> dict[int, str]:
    return {one.line: one.detail for chunk in found for one in chunk.wrong}


@HERE
@given(rows=st.lists(st.tuples(TEXT, TEXT), max_size=20), gzipped=st.booleans())
def test_a_csv_is_read_as_it_was_written(
    tmp_path: Path, rows: list[tuple[str, str]], gzipped: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows])
    raw = text.getvalue().encode()
    path = tmp_path / "rows.csv"
    path.write_bytes(gzip.compress(raw) if gzipped else raw)
    found = read(path, gzipped=gzipped)
    expected = {
        number: {"a": a or None, "b": b or None}
        for number, (a, b) in enumerate(rows, start=2)
        if a or b
    }
    assert by_line(found) == expected
    assert wrong(found) == {}


@HERE
@given(
    kinds=st.lists(st.sampled_from(["good", "short", "long", "blank", "bytes"]), max_size=30),
    size=st.integers(1, 7),
    few=st.integers(0, 7),
)
def test_every_line_is_a_row_a_fault_or_blank(
    tmp_path: Path, kinds: list[str], size: int, few: int
) -> None:
    texts = {
        "good": b"x,1",
        "short": b"x",
        "long": b"x,1,2",
        "blank": b"",
        "bytes": b"\xff\xfe,1",
    }
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\n".join([b"a,b", *(texts[kind] for kind in kinds)]) + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "FEW", few)
        found = read(path, size=size)
    lines = dict(enumerate(kinds, start=2))
    assert sorted(by_line(found)) == [line for line, kind in lines.items() if kind == "good"]
    assert sorted(wrong(found)) == [
        line for line, kind in lines.items() if kind in ("short", "long", "bytes")
    ]


def test_faults_say_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'client_id,a\nC1,1\nC2\n"C3","x\ny"\n\xff,2\n')
    found = read(path)
    assert by_line(found) == {2: {"client_id": "C1", "a": "1"}, 4: {"client_id": "C3", "a": "x\ny"}}
    assert wrong(found) == {
        3: "1 values where the header has 2",
        5: "column client_id is not UTF-8",
    }


def test_chunks_are_the_same_each_time_so_that_a_number_names_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n" + "".join(f"{number}\n" for number in range(100)))
    found = read(path, size=7)
    assert [len(chunk.lines) for chunk in found] == [7] * 14 + [2]
    assert sorted(by_line(found)) == list(range(2, 102))


@pytest.mark.parametrize("gzipped", [False, True])
def test_ndjson_is_read_line_by_line(tmp_path: Path, gzipped: bool) -> None:
    long = b'{"a": "' + b"x" * LONGEST_LINE + b'"}'
    raw = b'{"a": 1}\n\n' + long + b"\n  not json \n" + b'{"a": 2}'
    path = tmp_path / "rows.ndjson"
    path.write_bytes(gzip.compress(raw) if gzipped else raw)
    found = read(path, "ndjson", gzipped)
    texts = {
        line: text
        for chunk in found
        for line, text in zip(chunk.lines.tolist(), chunk.texts or [], strict=True)
    }
    assert texts == {1: b'{"a": 1}', 4: b"not json", 5: b'{"a": 2}'}
    assert wrong(found) == {3: "longer than 1,048,576 bytes"}


def test_long_rows_come_in_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4_000)
    texts = [str(number).zfill(1_000) for number in range(100)]
    (tmp_path / "rows.csv").write_text("a\n" + "".join(f"{text}\n" for text in texts))
    (tmp_path / "rows.ndjson").write_text("".join(f'{{"a": "{text}"}}\n' for text in texts))
    pq.write_table(pa.table({"a": texts}), tmp_path / "rows.parquet", use_dictionary=False)
    forms: tuple[Form, ...] = ("csv", "ndjson", "parquet")
    for form in forms:
        found = read(tmp_path / f"rows.{form}", form, size=1_000)
        assert sum(len(chunk.lines) for chunk in found) == 100
        assert 2 <= max(len(chunk.lines) for chunk in found) <= 20, form


def test_a_text_that_stands_in_all_rows_of_a_parquet_file_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", 10_000)
    texts = [*["x" * 1_000] * 95, None, "y", "x" * 30_000, "", "z"]
    pq.write_table(pa.table({"a": texts, "b": range(100)}), tmp_path / "rows.parquet")
    found = read(tmp_path / "rows.parquet", "parquet", size=1_000)
    assert max(len(chunk.lines) for chunk in found) <= 20
    rows = by_line(found)
    assert [rows[line]["a"] for line in sorted(rows)] == texts


def test_lines_without_rows_come_in_chunks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 400)
    (tmp_path / "rows.csv").write_text("a,b\n" + "x\n" * 1_000 + "1,2\n")
    found = read(tmp_path / "rows.csv", size=100)
    assert {len(chunk.wrong) for chunk in found} == {0, 100}
    assert sorted(wrong(found)) == list(range(2, 1_002))
    assert by_line(found) == {1_002: {"a": "1", "b": "2"}}
    (tmp_path / "rows.ndjson").write_text("\n" * 1_000 + "{}")
    blank = read(tmp_path / "rows.ndjson", "ndjson", size=100)
    assert [chunk.texts for chunk in blank] == [*[[]] * 10, [b"{}"]]


def test_a_file_with_another_header_is_refused_before_memory_is_full_of_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BROKEN", 500)
    (tmp_path / "rows.csv").write_text("a,b\n" + "x\n" * 1_000)
    with pytest.raises(FileError, match="Expected 2 columns, got 1"):
        read(tmp_path / "rows.csv", size=100)


def test_a_gzip_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ALWAYS_UNPACKED", 10_000)
    for form, line in (("csv", "1,2\n"), ("ndjson", "{}\n")):
        path = tmp_path / f"rows.{form}"
        path.write_bytes(gzip.compress(("a,b\n" + line * 1_000_000).encode()))
        with pytest.raises(FileError, match="more than 200 times its size"):
            list(read_rows(path, "csv" if form == "csv" else "ndjson", gzipped=True))


def test_a_gzip_that_is_damaged_inside_is_refused_in_words(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 40))
    packed[40:60] = b"\xff" * 20
    (tmp_path / "rows.ndjson").write_bytes(packed)
    with pytest.raises(FileError, match="not whole gzip"):
        read(tmp_path / "rows.ndjson", "ndjson", gzipped=True)


def test_a_disk_that_fails_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "gone.ndjson", "ndjson")


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"client_id": ["C1", "C2", None], "features": [{"x": 1.5}, None, {"x": 2.0}]})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert by_line(read(tmp_path / "rows.parquet", "parquet", size=2)) == dict(
        enumerate(table.to_pylist(), start=1)
    )


def test_texts_of_a_parquet_file_are_of_one_type(tmp_path: Path) -> None:
    values = ["C1", None, "é"]
    kinds = [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
    ]
    table = pa.table({str(kind): pa.array(values, kind) for kind in kinds})
    pq.write_table(table, tmp_path / "rows.parquet")
    [rows] = read(tmp_path / "rows.parquet", "parquet")
    assert rows.table is not None
    assert set(rows.table.schema.types) == {pa.string()}
    assert rows.table.to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("raw", "form", "gzipped", "said"),
    [
        (b"", "csv", False, "empty"),
        (b"a,b,a\n1,2,3\n", "csv", False, "columns twice: a"),
        (b"a,b\n1,2\n", "csv", True, "gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 50, mtime=0)[:-12], "csv", True, "gzip"),
        (b"a,b\n1,2\n", "parquet", False, "PARQUET"),
        (b"PAR1", "parquet", True, "without gzip"),
    ],
    ids=["empty", "twice", "no gzip", "half a gzip", "no parquet", "gzip parquet"],
)
def test_a_file_that_is_no_such_file_is_refused_in_words(
    tmp_path: Path, raw: bytes, form: Form, gzipped: bool, said: str
) -> None:
    path = tmp_path / "rows"
    path.write_bytes(raw)
    with pytest.raises(FileError, match=said):
        read(path, form, gzipped)


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    assert by_line(read(path)) == {}
