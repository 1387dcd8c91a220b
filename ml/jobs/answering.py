"""Answers to the rows of a file by one version of a model, as a table of outcomes.

The table has a row for each decision (a row of a file may have several) and for each error:
``line``, ``outcome`` (``ok`` or ``error``), ``code`` and ``detail`` of an error, what an answer
over HTTP says beside its decisions (its ``detail`` is ``decision_detail`` here), and the columns of
the model's ``Decision``, lists and objects as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ml.jobs.columns import columns_of
from ml.jobs.joining import part_schema
from ml.jobs.outcomes import outcome_columns
from ml.jobs.questions import column_paths, questions
from ml.jobs.reading import Rows
from ml.jobs.stored import StoredReader
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import NoChampionError
from ml.serving.base import Answer, Asked, QueryError
from ml.serving.columns import AskedColumns
from warehouse.jsontext import json_texts
from warehouse.repositories.jobs import RowError

NOT_ANSWERABLE = "query_not_answerable"


@dataclass(frozen=True)
class Outcomes:
    """Every row's outcome, in the order of lines, and how many rows came out how."""

    table: pa.Table
    rows_ok: int
    errors: list[RowError]


class _Found(NamedTuple):
    """An answer to a line of a file, and the data that it is about."""

    line: int
    as_of: date
    data_version: str
    answer: Answer


class Answering:
    """One version of a model, loaded to answer files."""

    def __init__(
        self, workspace: Workspace, spec: ModelSpec, reasons: bool, version: str | None = None
    ) -> None:
        """Load that version or else the champion; NoChampionError where there is none."""
        artifact = (
            workspace.artifacts.open(spec.name, version) if version else workspace.champion(spec)
        )
        if artifact is None:
            raise NoChampionError(f"{spec.title} has no champion yet, so it is silent.")
        workspace.require_format(spec, artifact)
        self.workspace, self.spec, self.reasons = workspace, spec, reasons
        self.version = artifact.version
        self._stored = StoredReader(workspace, spec, str(artifact.manifest["schema_hash"]))
        self._serving = spec.serving_class()(spec, workspace.ml, artifact.fitted_folder)
        data = workspace.data_version()
        self._as_of, self._data_version = workspace.as_of(data), data.snapshot
        columns = outcome_columns(spec)
        self._json = {name for name, kind in columns.items() if kind == "json"}
        self.schema = part_schema(columns)

    @property
    def by_column(self) -> bool:
        """Whether the model answers rows by column; then several threads may ask at once."""
        return self._serving.by_column

    def answer(self, rows: Rows) -> Outcomes:
        """An outcome for every row; FileError or Refusal where no row can have one."""
        by_column, others = self._by_column(rows)
        found, wrong = self._row_by_row(others)
        table = pa.concat_tables([by_column, self._decided(found), self._wrong(wrong)])
        return Outcomes(
            table.unify_dictionaries().sort_by("line"), by_column.num_rows + len(found), wrong
        )

    def _by_column(self, rows: Rows) -> tuple[pa.Table, Rows]:
        """The decisions of the rows that the model answers by column, and the other rows."""
        if rows.table is None or not self.by_column:
            return self._outcomes({}, 0), rows
        paths = column_paths(self.spec.Query, rows.table, self._serving.text_inputs)
        asked = AskedColumns(
            *columns_of(rows.table, paths), self._stored.of, self._as_of, self._data_version
        )
        answered = self._serving.answer_columns(asked, self.reasons)
        if not len(answered.rows):
            return self._outcomes({}, 0), rows
        inputs = json_texts(answered.inputs.distinct)
        columns = {
            "line": rows.lines[answered.rows],
            "as_of": answered.as_of,
            "data_version": answered.data_version,
            "inputs": _packed(answered.inputs.places, inputs),
            **self._ok(len(answered.rows)),
            **answered.columns,
        }
        rest = np.ones(len(rows.lines), dtype=bool)
        rest[answered.rows] = False
        others = Rows(rows.lines[rest], rows.wrong, rows.table.filter(pa.array(rest)))
        return self._outcomes(columns, len(answered.rows)), others

    def _row_by_row(self, rows: Rows) -> tuple[list[_Found], list[RowError]]:
        """The answers, and the rows without one, in the order of lines."""
        asked = questions(self.spec, rows, self._serving.text_inputs)
        stored = self._with_stored(asked.queries)
        answers = self._serving.answer_many([one for one, _ in stored], self.reasons)
        wrong = list(asked.wrong)
        found: list[_Found] = []
        for line, (one, data_version), answer in zip(asked.lines, stored, answers, strict=True):
            if isinstance(answer, QueryError):
                where = f"{answer.pointer.strip('/').replace('/', '.')}: " if answer.pointer else ""
                wrong.append(RowError(line, NOT_ANSWERABLE, f"{where}{answer}"[:500]))
            else:
                found.append(_Found(line, one.as_of, data_version, answer))
        wrong.sort(key=lambda one: one.line)
        return found, wrong

    def _with_stored(self, queries: Sequence[Any]) -> list[tuple[Asked, str]]:
        """The queries with their stored features, and the data that each is asked about."""
        entity_of = self.spec.serving_class().entity_of
        entities = [entity_of(query) for query in queries]
        stored = self._stored.of({name for name in entities if name is not None})
        found = []
        for query, name in zip(queries, entities, strict=True):
            known = None if name is None else stored.get(name)
            if known is None:
                found.append((Asked(query, None, self._as_of), self._data_version))
            else:
                found.append((Asked(query, known.features, known.as_of), known.data_version))
        return found

    def _decided(self, found: Sequence[_Found]) -> pa.Table:
        each = [(one, decision) for one in found for decision in one.answer.decisions]
        columns: dict[str, Any] = {
            "line": [one.line for one, _ in each],
            "as_of": [one.as_of for one, _ in each],
            "data_version": [one.data_version for one, _ in each],
            "inputs": [one.answer.inputs for one, _ in each],
            "decision_detail": [one.answer.detail for one, _ in each],
            **self._ok(len(each)),
        }
        for name in self.spec.Decision.model_fields:
            columns[name] = [decision.get(name) for _, decision in each]
        return self._outcomes(columns, len(each))

    def _ok(self, count: int) -> dict[str, pa.Array]:
        """What all rows with a decision say alike."""
        first = np.zeros(count, dtype=np.int32)
        return {"outcome": _packed(first, ["ok"]), "model_version": _packed(first, [self.version])}

    def _wrong(self, wrong: Sequence[RowError]) -> pa.Table:
        columns = {
            "line": [one.line for one in wrong],
            "outcome": ["error"] * len(wrong),
            "code": [one.code for one in wrong],
            "detail": [one.detail for one in wrong],
        }
        return self._outcomes(columns, len(wrong))

    def _outcomes(self, columns: Mapping[str, Any], count: int) -> pa.Table:
        """Columns (count,) as a table of outcomes; those that are not there are null."""
        return pa.table([self._cells(one, columns, count) for one in self.schema], self.schema)

    def _cells(self, of: pa.Field, columns: Mapping[str, Any], count: int) -> pa.Array:
        values = columns.get(of.name)
        if values is None:
            return pa.nulls(count, of.type)
        if isinstance(values, pa.Array):
            return values
        return pa.array(json_texts(values) if of.name in self._json else values, of.type)


def _packed(places: np.ndarray, texts: Sequence[str | None]) -> pa.Array:
    """A column (places,) of few texts."""
    return pa.DictionaryArray.from_arrays(places.astype(np.int32), pa.array(texts, pa.string()))
