"""The file of a job over all that a model knows: a question about each entity, by its name."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from ml.jobs.forms import Form
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.job_files import INPUT, JobFiles
from warehouse.repositories import online

FORM: Form = "parquet"


def store_known(engine: Engine, spec: ModelSpec, files: JobFiles, job_id: str) -> None:
    """Store the questions about all entities known now as the job's input, in order of their names.

    A file of its own, so that a later attempt goes on with the same rows, whatever is scored
    meanwhile.
    """
    names = spec.serving_class().asked_by
    schema = pa.schema([(name, pa.string()) for name in names])
    with files.draft() as draft:
        with (
            reading(engine) as connection,
            pq.ParquetWriter(draft, schema, compression="zstd") as writer,
        ):
            for some in online.entities(connection, spec.name):
                parts = zip(*(one.split("\x1f", len(names) - 1) for one in some), strict=True)
                writer.write_table(pa.table(list(map(list, parts)), schema=schema))
        files.keep(draft, job_id, INPUT)
