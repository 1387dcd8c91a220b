"""A Parquet file in batches that fit into memory, whatever its writer packed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@contextmanager
def short_batches(
    path: Path, most_rows: int, most_bytes: int
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Its schema, texts all of one type, and its rows; the same batches each time.

    A batch has at most ``most_rows`` rows, and ends with the one that fills about ``most_bytes``.
    """
    with pq.ParquetFile(path) as file:
        texts = [one.name for one in file.schema_arrow if _is_text(one.type)]
        rows = _few_enough(file.metadata, most_rows, most_bytes)
    # A text that stands in all rows takes no room in the file: unpacked, it would fill the memory.
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        yield (
            _of_plain_texts(file.schema_arrow.empty_table()).schema,
            (
                batch
                for packed in file.iter_batches(rows)
                for piece in _short_enough(packed, most_bytes)
                for batch in _of_plain_texts(pa.Table.from_batches([piece])).to_batches()
            ),
        )


def _short_enough(batch: pa.RecordBatch, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batch in pieces, each ending with the row whose texts, unpacked, fill so many bytes."""
    sizes = np.zeros(batch.num_rows)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
            lengths = pc.binary_length(column.dictionary).to_numpy(zero_copy_only=False)
            sizes += np.append(lengths, 0)[column.indices.fill_null(-1).to_numpy()]
    start, ends = 0, np.cumsum(sizes)
    while start < batch.num_rows:
        before = ends[start - 1] if start else 0.0
        end = int(np.searchsorted(ends, before + most_bytes)) + 1
        yield batch.slice(start, end - start)
        start = end


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _few_enough(about: pq.FileMetaData, most_rows: int, most_bytes: int) -> int:
    """How many rows to read at once, of those that take the most room."""
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    longest = max((one.total_byte_size / max(one.num_rows, 1) for one in groups), default=0.0)
    return max(1, min(most_rows, int(most_bytes / max(longest, 1.0))))


def _of_plain_texts(table: pa.Table) -> pa.Table:
    """The same with texts of one type: a writer's choice among Arrow's several means nothing."""
    for place, column in enumerate(table.schema):
        packed = pa.types.is_dictionary(column.type)
        kind = column.type.value_type if packed else column.type
        if (
            pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind)
            or (packed and pa.types.is_string(kind))
        ):
            texts = table.column(place).cast(kind).cast(pa.string())
            table = table.set_column(place, column.name, texts)
    return table
