"""The outcomes of a bulk job as one file: CSV, NDJSON or Parquet, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from sqlalchemy import JSON

from ml.jobs.answering import outcome_schema
from ml.jobs.bulk import job_files
from ml.jobs.reading import Form
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.repositories import jobs
from warehouse.repositories.jobs import Job
from warehouse.scored import scored_table

Outcome = Literal["ok", "error"]


def write_results(
    workspace: Workspace, job: Job, form: Form, out: IO[bytes], outcome: Outcome | None = None
) -> int:
    """Write what every row came to, or those of one outcome; returns how many rows that is.

    A job that is still running has the outcomes of its finished chunks.
    """
    spec = workspace.registry[job.model]
    schema = outcome_schema(spec)
    count = 0
    with _writer(form, spec, schema, out) as writer:
        for table in _parts(workspace, job):
            chosen = table if outcome is None else table.filter(pc.equal(table["outcome"], outcome))
            writer.write_table(chosen)
            count += chosen.num_rows
    return count


def _parts(workspace: Workspace, job: Job) -> Iterator[pa.Table]:
    files = job_files(workspace)
    with reading(workspace.engine) as connection:
        chunks = jobs.chunks(connection, job.id)
    for chunk in chunks:
        with files.local(job.id, chunk.part) as path:
            yield pq.read_table(path)


def _writer(
    form: Form, spec: ModelSpec, schema: pa.Schema, out: IO[bytes]
) -> pacsv.CSVWriter | pq.ParquetWriter | _JsonLines:
    if form == "csv":
        return pacsv.CSVWriter(out, schema)
    if form == "parquet":
        return pq.ParquetWriter(out, schema, compression="zstd")
    return _JsonLines(spec, out)


class _JsonLines:
    """A line of JSON for each row, without the fields that it has no value for."""

    def __init__(self, spec: ModelSpec, out: IO[bytes]) -> None:
        table = scored_table(spec)
        self._raw = {column.name for column in table.c if isinstance(column.type, JSON)}
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
