"""Decisions as Arrow rows: checked before they are written, and read back for judging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import JSON, Table

from warehouse.columns import arrow_column
from warehouse.jsontext import json_texts
from warehouse.scored import ScoredSpec, field_rules, scored_table

if TYPE_CHECKING:
    import pandas as pd


def checked(spec: ScoredSpec, frame: pd.DataFrame | pa.Table) -> pa.Table:
    """The frame in the table's types, each value such as the Decision allows."""
    table = scored_table(spec)
    names = list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)
    if unknown := [name for name in names if name not in spec.Decision.model_fields]:
        raise ValueError(
            f"{table.name}: {spec.Decision.__name__} has no field {', '.join(map(repr, unknown))};"
            f" it has {', '.join(spec.Decision.model_fields)}"
        )
    columns: dict[str, pa.ChunkedArray] = {}
    for name, rule in field_rules(spec.Decision).items():
        if name not in names:
            if spec.Decision.model_fields[name].is_required():
                raise ValueError(f"{table.name}: the column {name!r} is missing from the scores")
            continue
        given = frame[name]
        if isinstance(rule.type, JSON):
            given = _json_column(given)
        column = arrow_column(table.c[name], given)
        if column.null_count and not rule.optional:
            raise ValueError(
                f"{table.name}.{name} may not be missing, and is in {column.null_count} of"
                f" {len(column)} rows: compute it, or declare the field as `… | None`"
            )
        if rule.choices and not pc.all(pc.is_in(column, pa.array(rule.choices))).as_py():
            other = sorted(set(pc.unique(column).to_pylist()) - {None, *rule.choices})
            if other:
                raise ValueError(
                    f"{table.name}.{name} is one of {', '.join(rule.choices)}, got {other[:5]}"
                )
        columns[name] = column
    data = pa.table(columns)
    _refuse_repeats(table.name, data, spec.entity)
    return data


def _json_column(given: Any) -> pa.Array:
    if isinstance(given, pa.ChunkedArray) and pa.types.is_string(given.type):
        return given
    plain = given.to_pylist() if isinstance(given, pa.ChunkedArray) else given.tolist()
    return pa.array(json_texts(plain), pa.string())


def _refuse_repeats(where: str, data: pa.Table, key: Sequence[str]) -> None:
    counts = data.select(list(key)).group_by(list(key)).aggregate([([], "count_all")])
    if counts.num_rows == data.num_rows:
        return
    example = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
    times = example.pop("count_all")
    raise ValueError(f"{where}: two decisions may not share a key; {example} comes {times} times")


def as_table(table: Table, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows with every column of the table, JSON as text."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(table.c)
    return pa.table(
        {
            column.name: arrow_column(
                column,
                json_texts(column_values) if isinstance(column.type, JSON) else list(column_values),
            )
            for column, column_values in zip(table.c, columns, strict=True)
        }
    )
