"""Answers to the rows of a file by one version of a model, as a table of outcomes.

The table has a row for each decision (a row of a file may have several) and for each error:
``line``, ``outcome`` (``ok`` or ``error``), ``code`` and ``detail`` of an error, ``as_of``, and the
columns of the model's ``Decision``, lists and objects as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
from sqlalchemy import JSON

from ml.jobs.joining import schema_of
from ml.jobs.outcomes import outcome_columns
from ml.jobs.questions import questions
from ml.jobs.reading import Rows
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import NoChampionError, Refusal
from ml.serving.base import Answer, Asked, QueryError, StoredFeatures
from warehouse.database import reading
from warehouse.jsontext import json_texts
from warehouse.repositories import online
from warehouse.repositories.jobs import RowError
from warehouse.scored import scored_table

NOT_ANSWERABLE = "query_not_answerable"


class StoredSchemaError(Refusal):
    """The stored features are not those that the champion learned from: score again."""

    to_mend = True


@dataclass(frozen=True)
class Outcomes:
    """Every row's outcome, in the order of lines, and how many rows came out how."""

    table: pa.Table
    rows_ok: int
    errors: list[RowError]


class Answering:
    """The present champion of a model, loaded to answer files."""

    def __init__(self, workspace: Workspace, spec: ModelSpec, reasons: bool) -> None:
        """Load it; NoChampionError where there is none."""
        artifact = workspace.champion(spec)
        if artifact is None:
            raise NoChampionError(f"{spec.title} has no champion yet, so it is silent.")
        workspace.require_format(spec, artifact)
        self.workspace, self.spec, self.reasons = workspace, spec, reasons
        self.version = artifact.version
        self._schema_hash = str(artifact.manifest["schema_hash"])
        self._serving = spec.serving_class()(spec, workspace.ml, artifact.fitted_folder)
        self._as_of = workspace.as_of()
        self.schema = outcome_schema(spec)

    def answer(self, rows: Rows) -> Outcomes:
        """An outcome for every row; FileError or Refusal where no row can have one."""
        asked = questions(self.spec, rows, self._serving.text_inputs)
        stored = self._with_stored(asked.queries)
        answers = self._serving.answer_many(stored, self.reasons)
        wrong = list(asked.wrong)
        found: list[tuple[int, date, Answer]] = []
        for line, one, answer in zip(asked.lines, stored, answers, strict=True):
            if isinstance(answer, QueryError):
                where = f"{answer.pointer.strip('/').replace('/', '.')}: " if answer.pointer else ""
                wrong.append(RowError(line, NOT_ANSWERABLE, f"{where}{answer}"[:500]))
            else:
                found.append((line, one.as_of, answer))
        wrong.sort(key=lambda one: one.line)
        table = pa.concat_tables([self._decided(found), self._wrong(wrong)])
        return Outcomes(table.sort_by("line"), len(found), wrong)

    def _with_stored(self, queries: Sequence[Any]) -> list[Asked]:
        kind = self.spec.serving_class()
        entities = [kind.entity_of(query) for query in queries]
        with reading(self.workspace.engine) as connection:
            known = online.texts(
                connection, self.spec.name, {name for name in entities if name is not None}
            )
        if not kind.reads_by_name:
            for name, one in known.items():
                if one.schema_hash != self._schema_hash:
                    raise StoredSchemaError(
                        f"The stored features of {name!r} have schema {one.schema_hash}, the"
                        f" champion of {self.spec.title} has {self._schema_hash}: score again."
                    )
        return [
            Asked(query, None, self._as_of)
            if name is None or name not in known
            else Asked(query, StoredFeatures(known[name].features), known[name].as_of)
            for query, name in zip(queries, entities, strict=True)
        ]

    def _decided(self, found: Sequence[tuple[int, date, Answer]]) -> pa.Table:
        each = [
            (line, as_of, decision)
            for line, as_of, answer in found
            for decision in answer.decisions
        ]
        columns: dict[str, Any] = {
            "line": [line for line, _, _ in each],
            "outcome": ["ok"] * len(each),
            "as_of": [as_of for _, as_of, _ in each],
        }
        json_columns = {
            column.name for column in scored_table(self.spec).c if isinstance(column.type, JSON)
        }
        for name in self.spec.Decision.model_fields:
            values = [decision.get(name) for _, _, decision in each]
            columns[name] = json_texts(values) if name in json_columns else values
        return self._filled(columns, len(each))

    def _wrong(self, wrong: Sequence[RowError]) -> pa.Table:
        columns = {
            "line": [one.line for one in wrong],
            "outcome": ["error"] * len(wrong),
            "code": [one.code for one in wrong],
            "detail": [one.detail for one in wrong],
        }
        return self._filled(columns, len(wrong))

    def _filled(self, columns: Mapping[str, Any], count: int) -> pa.Table:
        return pa.table(
            [
                pa.array(columns[one.name], one.type)
                if one.name in columns
                else pa.nulls(count, one.type)
                for one in self.schema
            ],
            schema=self.schema,
        )


def outcome_schema(spec: ModelSpec) -> pa.Schema:
    """The columns of a table of outcomes."""
    return schema_of(outcome_columns(spec))
