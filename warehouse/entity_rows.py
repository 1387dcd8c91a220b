"""Rows of the newest day by the values of a few columns, in one statement made once for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import JSON, Boolean, DateTime

from warehouse.database import SCORES_SCHEMA
from warehouse.scored import ScoredSpec, key_order, scored_table
from warehouse.types import UtcDateTime

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class RowsBy:
    """The statement (parameters: model, values, most rows), and how its values become JSON's."""

    statement: str
    columns: tuple[str, ...]
    converts: Mapping[int, Convert]

    @classmethod
    def of(cls, spec: ScoredSpec, by: Iterable[str], postgres: bool) -> RowsBy:
        """Of a model's scored table, where each column of ``by`` has its value."""
        table = scored_table(spec)
        mark = "%s" if postgres else "?"
        order = [f'"{name}"' for name in key_order(spec.entity)]
        converts: dict[int, Convert] = {}
        chosen = []
        for place, column in enumerate(table.c):
            text = f'"{column.name}"'
            if isinstance(column.type, JSON):
                text += "::text" if postgres else ""
                converts[place] = _raw
            elif not postgres and isinstance(column.type, Boolean):
                converts[place] = bool
            elif isinstance(column.type, UtcDateTime):
                converts[place] = _utc if postgres else _utc_text
            elif not postgres and isinstance(column.type, DateTime):
                converts[place] = datetime.fromisoformat
            chosen.append(text)
        where = f"{SCORES_SCHEMA}." if postgres else ""
        return cls(
            f'SELECT {", ".join(chosen)} FROM {where}"{table.name}" WHERE as_of ='
            f" (SELECT as_of FROM score_days WHERE model = {mark} ORDER BY as_of DESC LIMIT 1)"
            + "".join(f' AND "{name}" = {mark}' for name in by)
            + f" ORDER BY {', '.join(order)} LIMIT {mark}",
            tuple(table.c.keys()),
            converts,
        )

    def named(self, rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
        """The rows by column, their values such as msgspec writes them as JSON."""
        found = []
        for row in rows:
            values = list(row)
            for place, convert in self.converts.items():
                if values[place] is not None:
                    values[place] = convert(values[place])
            found.append(dict(zip(self.columns, values, strict=True)))
        return found


def _raw(text: str) -> msgspec.Raw:
    """JSON stays the text that it is stored as."""
    return msgspec.Raw(text.encode())


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _utc_text(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
