"""The parts of a job's outcomes as one file: CSV, NDJSON or Parquet, part by part.

``python -m ml.jobs.joining`` reads a ``Join`` as JSON from standard input and writes the file to
standard output, so that a server need not load Arrow. It ends with status ``GONE`` where a part
cannot be read.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ml.jobs.join_request import ALIKE, GONE, Join
from ml.priority import HELPER, step_aside
from warehouse.arrow_types import ARROW
from warehouse.job_files import JobFiles
from warehouse.objects import StoreError

NEVER_NULL = ("line", "outcome")


def schema_of(columns: Mapping[str, str]) -> pa.Schema:
    """The Arrow schema of columns by their kinds."""
    return pa.schema(
        [pa.field(name, ARROW[kind], name not in NEVER_NULL) for name, kind in columns.items()]
    )


def part_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The same of a job's parts."""
    fields = list(schema_of(columns))
    packed = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([one.with_type(packed) if one.name in ALIKE else one for one in fields])


def join(
    parts: Iterable[pa.Table],
    columns: Mapping[str, str],
    form: str,
    out: IO[bytes],
    outcome: str | None = None,
) -> int:
    """Write the rows of these tables, or those of one outcome; returns how many that is."""
    count, schema = 0, schema_of(columns)
    with _writer(form, columns, out) as writer:
        out.flush()  # whoever waits sees that it began, however late the first of these rows comes
        for part in parts:
            chosen = part if outcome is None else part.filter(pc.equal(part["outcome"], outcome))
            writer.write_table(chosen.cast(schema))
            count += chosen.num_rows
    return count


def read_parts(files: JobFiles, job: str, names: Iterable[str]) -> Iterator[pa.Table]:
    """The tables of a job's parts; StoreError where one cannot be read."""
    for name in names:
        with files.local(job, name) as path:
            yield pq.read_table(path)


def main() -> None:
    """Do what standard input asks for."""
    step_aside(HELPER)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads is gone: end without a word
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Join)
    pa.set_cpu_count(1)  # answers to others come first
    parts = read_parts(JobFiles(asked.root, Path(asked.work)), asked.job, asked.parts)
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # libraries print; the pipe must hold the file alone
        try:
            join(parts, asked.columns, asked.form, out, asked.outcome)
        except StoreError as error:
            print(error, file=sys.stderr)
            sys.exit(GONE)


def _writer(
    form: str, columns: Mapping[str, str], out: IO[bytes]
) -> pacsv.CSVWriter | pq.ParquetWriter | _JsonLines:
    if form == "csv":
        return pacsv.CSVWriter(out, schema_of(columns))
    if form == "parquet":
        return pq.ParquetWriter(out, schema_of(columns), compression="zstd")
    return _JsonLines(columns, out)


class _JsonLines:
    """A line of JSON for each row, without the fields that it has no value for."""

    def __init__(self, columns: Mapping[str, str], out: IO[bytes]) -> None:
        self._raw = {name for name, kind in columns.items() if kind == "json"}
        self._out = out

    def __enter__(self) -> _JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        """The file is its owner's to close."""

    def write_table(self, table: pa.Table) -> None:
        encode = msgspec.json.encode
        for row in table.to_pylist():
            there = {
                name: msgspec.Raw(value.encode()) if name in self._raw else value
                for name, value in row.items()
                if value is not None
            }
            self._out.write(encode(there) + b"\n")


if __name__ == "__main__":
    main()
