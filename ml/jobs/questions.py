"""From the rows of a file to a model's queries, or to what is wrong with a row.

A column of a table is a field of the query, or a path into it: ``features.revenue_365d``. An empty
cell of a CSV says nothing. Its texts are numbers, true, false, lists and objects where they read
so, but for fields that are texts themselves.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from ml.jobs.reading import Rows
from ml.models import ModelSpec
from ml.refusals import FileError
from warehouse.repositories.jobs import RowError

INVALID = "invalid_row"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MOST_SAID = 3

ColumnPath = tuple[str, tuple[str, ...], bool]
"""A column, the place of its cells in a query, and whether they have to be read as literals."""


@dataclass
class Questions:
    """Queries by their line, and the lines that hold none."""

    lines: list[int] = field(default_factory=list)
    queries: list[Any] = field(default_factory=list)
    wrong: list[RowError] = field(default_factory=list)


def questions(spec: ModelSpec, rows: Rows, texts: Collection[str] = ()) -> Questions:
    """The queries of these rows; FileError for columns that are no part of one.

    ``texts`` are names inside a free-form field, such as a client's segment, whose values are texts
    even where they read like numbers.
    """
    found = Questions(wrong=list(rows.wrong))
    if rows.texts is not None:
        parse: Callable[[Any], Any] = spec.Query.__pydantic_validator__.validate_json
        items: list[Any] = list(rows.texts)
    elif rows.table is not None:
        parse = spec.Query.model_validate
        items = _nested(rows.table, column_paths(spec.Query, rows.table, texts))
    else:
        return found
    for line, item in zip(rows.lines.tolist(), items, strict=True):
        try:
            found.queries.append(parse(item))
            found.lines.append(line)
        except ValidationError as error:
            found.wrong.append(RowError(line, INVALID, _said(error)))
    return found


def column_paths(
    query: type[BaseModel], table: pa.Table, texts: Collection[str]
) -> list[ColumnPath]:
    """The path of each column; FileError for columns that are no part of a query."""
    fields = query.model_fields
    unknown = [name for name in table.column_names if name.split(".")[0] not in fields]
    if unknown:
        known = ", ".join(
            f"{name}.…" if _is_free(info.annotation) else name for name, info in fields.items()
        )
        raise FileError(f"no query has the columns {', '.join(unknown)}; it has {known}")
    # Sorted, a path comes right before those that lead into what it names.
    for one, other in pairwise(sorted(table.column_names, key=lambda name: name.split("."))):
        if other.split(".")[: one.count(".") + 1] == one.split("."):
            raise FileError(f"the columns {one} and {other} are about the same: give one of them")
    found = []
    for name in table.column_names:
        path = tuple(name.split("."))
        text = _is_text(fields[path[0]].annotation) if len(path) == 1 else path[-1] in texts
        found.append((name, path, pa.types.is_string(table[name].type) and not text))
    return found


def _nested(table: pa.Table, paths: list[ColumnPath]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    for name, path, reads in paths:
        for item, cell in zip(items, table[name].to_pylist(), strict=True):
            if cell is None or cell == "":
                continue
            inside = item
            for part in path[:-1]:
                inside = inside.setdefault(part, {})
            inside[path[-1]] = literal(cell) if reads else cell
    return items


def literal(text: str) -> Any:
    """The number, truth value, list or object that a text reads like, else the text."""
    if NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    if text in ("true", "false"):
        return text == "true"
    if text[0] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _is_text(annotation: Any) -> bool:
    """Whether a field takes texts and nothing else beside null."""
    kinds = _kinds(annotation)
    return str in kinds and kinds <= {str, type(None)}


def _is_free(annotation: Any) -> bool:
    return any(issubclass(kind, Mapping) for kind in _kinds(annotation))


def _kinds(annotation: Any) -> set[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return {kind for one in get_args(annotation) for kind in _kinds(one)}
    if isinstance(origin, type):
        return {origin}
    return {annotation} if isinstance(annotation, type) else {object}


def _said(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)
    said = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" if one["loc"] else str(one["msg"])
        for one in found[:MOST_SAID]
    ]
    more = [f"and {len(found) - MOST_SAID} more"] if len(found) > MOST_SAID else []
    return "; ".join([*said, *more])[:500]
