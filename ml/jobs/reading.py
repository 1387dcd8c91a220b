"""Files of rows, read in chunks, each row by its line: CSV, NDJSON and Parquet, plain or gzip.

A row's line is its number in the file, counted from 1 with the header of a CSV; a CSV row whose
values hold line breaks counts as one. Rows that cannot be read are told apart, and never stop the
others; a file that cannot be read at all does.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from ml.jobs.forms import Form
from ml.jobs.parquet_batches import short_batches
from ml.refusals import FileError
from warehouse.repositories.jobs import RowError

CHUNK_ROWS = 10_000
CHUNK_BYTES = 16 * 1024 * 1024
"""A chunk of longer rows ends with the one that fills this."""
BLOCK_BYTES = 4 * 1024 * 1024
"""Of a CSV at once; a row is shorter."""
FEW = 50
"""Rows of a chunk."""
LONGEST_LINE = 1024 * 1024
MOST_UNPACKED = 200
"""How many times its own size a gzip may unpack to; tables of numbers come to 3 to 30 times."""
ALWAYS_UNPACKED = 64 * 1024 * 1024
"""Bytes that any gzip may unpack to."""
MOST_BROKEN = 1_000_000
"""Rows without a good one between; with more, the file's header is another's."""
NONE = np.empty(0, dtype=np.int64)
UNREADABLE = "unreadable_row"


@dataclass(frozen=True)
class Rows:
    """Rows that were read together.

    Of a CSV or Parquet file ``table`` holds them by column (a CSV's are texts, null where a cell
    is empty), of NDJSON ``texts`` hold their JSON; ``lines`` (rows,) are theirs, and ``wrong``
    those between that cannot be read.
    """

    lines: np.ndarray
    wrong: list[RowError]
    table: pa.Table | None = None
    texts: list[bytes] | None = None


def read_rows(
    path: Path, form: Form, gzipped: bool = False, chunk_rows: int = CHUNK_ROWS
) -> Iterator[Rows]:
    """The file's rows, ``chunk_rows`` at a time or fewer that are long.

    The same file comes in the same chunks each time. FileError where it is not of that form.
    """
    try:
        if form == "csv":
            yield from _csv(path, gzipped, chunk_rows)
        elif form == "ndjson":
            yield from _ndjson(path, gzipped, chunk_rows)
        else:
            yield from _parquet(path, gzipped, chunk_rows)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FileError(f"the file is not whole gzip: {error}") from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, and not the file
        said = " ".join(str(error).split())[:500]
        raise FileError(f"the file is not {form.upper()} as expected: {said}") from error


def _csv(path: Path, gzipped: bool, chunk_rows: int) -> Iterator[Rows]:
    names = _header(path, gzipped)
    broken: dict[int, int] = {}
    on_end = last = 0

    def skip(row: pacsv.InvalidRow) -> str:
        nonlocal on_end, last
        on_end, last = on_end + 1 if row.number == last + 1 else 1, row.number
        broken[row.number] = row.actual_columns
        return "skip" if on_end <= MOST_BROKEN else "error"

    def taken(before: int) -> list[RowError]:
        return [
            RowError(
                number,
                UNREADABLE,
                f"{broken.pop(number)} values where the header has {len(names)}",
            )
            for number in sorted(broken)
            if number < before
        ]

    # Unchecked: one value that is no UTF-8 must not stop the file.
    convert = pacsv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        check_utf8=False,
        null_values=[""],
        strings_can_be_null=True,
    )
    with _opened(path, gzipped) as file:
        reader = pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=skip, ignore_empty_lines=False
            ),
            convert_options=convert,
        )
        line = 2
        for table in _chunks(reader, reader.schema, chunk_rows, broken):
            end = line
            while end in broken:
                end += 1
            if end - line > chunk_rows or not table.num_rows:
                for start in range(line, end, chunk_rows):
                    yield Rows(NONE, taken(min(start + chunk_rows, end)))
                line = end
            if table.num_rows:
                lines = _numbered(line, table.num_rows, broken)
                line = int(lines[-1]) + 1
                yield _texts(table, lines, taken(line))


def _header(path: Path, gzipped: bool) -> list[str]:
    with _opened(path, gzipped) as file:
        try:
            reader = pacsv.open_csv(
                file,
                read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pacsv.ParseOptions(
                    newlines_in_values=True, invalid_row_handler=lambda _: "skip"
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise FileError("the file is empty: a CSV begins with a header") from error
            raise
        names: list[str] = reader.schema.names
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise FileError(f"the header names columns twice: {', '.join(twice)}")
    return names


def _numbered(first: int, count: int, broken: Collection[int]) -> np.ndarray:
    """The lines of ``count`` rows from ``first`` on, those left out that are broken."""
    numbers = np.arange(first, first + count + len(broken))
    if broken:
        numbers = numbers[~np.isin(numbers, np.fromiter(broken, dtype=np.int64))]
    return numbers[:count]


def _texts(table: pa.Table, lines: np.ndarray, wrong: list[RowError]) -> Rows:
    """Columns of unchecked texts; rows that are no UTF-8 go to ``wrong``, empty ones nowhere."""
    gone = _empty(table)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if _are_utf8(column):
            continue
        for place, value in enumerate(column.cast(pa.binary()).to_pylist()):
            if not gone[place] and not _is_utf8(value):
                gone[place] = True
                said = f"column {name} is not UTF-8"
                wrong.append(RowError(int(lines[place]), UNREADABLE, said))
    if gone.any():
        table, lines = _without(table, gone), lines[~gone]
    return Rows(lines, sorted(wrong, key=lambda one: one.line), table=table)


def _without(table: pa.Table, gone: np.ndarray) -> pa.Table:
    """The other rows. A few are cut out in a quarter of the time in which Arrow filters."""
    if np.count_nonzero(gone) > FEW:
        return table.filter(pa.array(~gone))
    edges = np.flatnonzero(np.diff(np.concatenate([[True], gone, [True]])))
    [whole] = table.to_batches()
    pieces = [whole.slice(first, end - first) for first, end in edges.reshape(-1, 2).tolist()]
    return pa.Table.from_batches(pieces, table.schema).combine_chunks()


def _are_utf8(column: pa.ChunkedArray) -> bool:
    data = [buffer for chunk in column.chunks if (buffer := chunk.buffers()[2]) is not None]
    if all(np.frombuffer(one, np.uint8).max(initial=0) < 0x80 for one in data):
        return True  # ASCII, as nearly all columns; the quickest to find out
    try:
        column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _empty(table: pa.Table) -> np.ndarray:
    """The rows without any value, (rows,)."""
    if not all(column.null_count for column in table.columns):
        return np.zeros(table.num_rows, dtype=bool)
    empty = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        empty &= column.is_null().to_numpy()
    return empty


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _chunks(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, chunk_rows: int, broken: Sized = ()
) -> Iterator[pa.Table]:
    """The batches again, in tables of one size, so that a chunk's number names its rows.

    Smaller where rows are long, and where as many rows between them are ``broken``.
    """
    waiting: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        waiting.append(batch)
        count, size = count + batch.num_rows, size + batch.nbytes
        while count >= chunk_rows:
            table = pa.Table.from_batches(waiting, schema)
            yield table.slice(0, chunk_rows).combine_chunks()
            left = table.slice(chunk_rows)
            waiting, count, size = left.to_batches(), left.num_rows, left.nbytes
        if size >= CHUNK_BYTES or len(broken) >= chunk_rows:
            yield pa.Table.from_batches(waiting, schema).combine_chunks()
            waiting, count, size = [], 0, 0
    if count:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()
    if len(broken):  # behind the last row
        yield schema.empty_table()


def _ndjson(path: Path, gzipped: bool, chunk_rows: int) -> Iterator[Rows]:
    lines: list[int] = []
    texts: list[bytes] = []
    wrong: list[RowError] = []
    number = first = size = 0
    with _opened(path, gzipped) as file:
        while text := file.readline(LONGEST_LINE + 1):
            number, size = number + 1, size + len(text)
            if len(text) > LONGEST_LINE:
                wrong.append(RowError(number, UNREADABLE, f"longer than {LONGEST_LINE:,} bytes"))
                while text and not text.endswith(b"\n"):
                    text = file.readline(LONGEST_LINE)
            elif stripped := text.strip():
                lines.append(number)
                texts.append(stripped)
            if number - first >= chunk_rows or size >= CHUNK_BYTES:
                yield Rows(np.array(lines, dtype=np.int64), wrong, texts=texts)
                lines, texts, wrong = [], [], []
                first, size = number, 0
    if texts or wrong:
        yield Rows(np.array(lines, dtype=np.int64), wrong, texts=texts)


def _parquet(path: Path, gzipped: bool, chunk_rows: int) -> Iterator[Rows]:
    if gzipped:
        raise FileError("Parquet is compressed inside: send it without gzip")
    with short_batches(path, chunk_rows, CHUNK_BYTES) as (schema, batches):
        first = 1
        for table in _chunks(batches, schema, chunk_rows):
            lines = np.arange(first, first + table.num_rows)
            first += table.num_rows
            yield Rows(lines, [], table=table)


@contextmanager
def _opened(path: Path, gzipped: bool) -> Iterator[IO[bytes]]:
    with _Unpacked(path) if gzipped else path.open("rb") as file:
        yield file  # type: ignore[misc]


class _Unpacked(gzip.GzipFile):
    """A gzip that unpacks to a bounded size; FileError beyond it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._most = max(MOST_UNPACKED * path.stat().st_size, ALWAYS_UNPACKED)

    def read(self, size: int | None = -1) -> bytes:
        self._check()
        return super().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        self._check()
        return super().readline(size)

    def _check(self) -> None:
        if self.tell() > self._most:
            raise FileError(f"the file unpacks to more than {MOST_UNPACKED} times its size")
