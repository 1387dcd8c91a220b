"""Any DataFrame to the one float matrix that LightGBM and the detectors read, and back to names.

Shared by every estimator whose X may hold numbers, booleans, strings, categories and missing
values. Columns are matched by name, never by position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class ColumnMismatchError(ValueError):
    """The columns given are not the columns fitted; the message shows the difference."""


@dataclass(frozen=True)
class TabularEncoder:
    """Column names in order, and the known values of each categorical one.

    Categories become their index in ``categories[column]``; an unseen one becomes NaN, which
    LightGBM treats as missing. Booleans become 0 and 1. Missing columns are refused by name;
    extra columns are ignored, since a what-if may carry more than the model reads.
    """

    columns: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def fit(cls, X: pd.DataFrame) -> TabularEncoder:
        """Learn names and categories from X of shape (rows, columns)."""
        import pandas as pd

        if not isinstance(X, pd.DataFrame):
            raise TypeError(f"X must be a pandas DataFrame with named columns, got {type(X)!r}")
        if X.columns.has_duplicates:
            twice = sorted(set(X.columns[X.columns.duplicated()]))
            raise ColumnMismatchError(f"X has columns of the same name: {twice}")
        categories = {
            str(name): tuple(sorted(X[name].dropna().astype(str).unique()))
            for name in X.columns
            if not _is_numeric(X[name])
        }
        return cls(tuple(map(str, X.columns)), categories)

    @property
    def categorical_indices(self) -> list[int]:
        """Positions of the categorical columns in the matrix."""
        return [i for i, name in enumerate(self.columns) if name in self.categories]

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """X as float64 of shape (rows, len(columns)), columns in fitted order."""
        self.check(X)
        matrix = np.empty((len(X), len(self.columns)), dtype=np.float64, order="F")
        for position, name in enumerate(self.columns):
            matrix[:, position] = self._encode(X[name], name)
        return np.ascontiguousarray(matrix)

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Plain values by name, one mapping a row, as :meth:`transform` has them of a DataFrame.

        A name that is not there counts as missing. Raises ValueError on what is no number
        in a column of numbers.
        """
        found = []
        for values in rows:
            try:
                cells = list(self._cells(values))
            except KeyError:
                cells = list(map(values.get, self.columns))
            for position, codes in self._codes.items():
                value = cells[position]
                cells[position] = None if value is None else codes.get(str(value))
            found.append(cells)
        try:
            matrix = np.array(found, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self._wrong(found) from error
        return matrix.reshape(len(rows), len(self.columns))

    def encode_cells(
        self, cells: Sequence[Sequence[Any]]
    ) -> tuple[np.ndarray, dict[int, list[str]]]:
        """Values in order of ``columns`` as :meth:`encode` has them, and what :meth:`unseen_in`
        says of each row, by its place, where there is anything unseen.

        Values are None or what their column holds: numbers, or texts.
        """
        matrix = np.empty((len(cells), len(self.columns)))
        unseen: dict[int, list[str]] = {}
        for position, column in enumerate(zip(*cells, strict=True)):
            codes = self._codes.get(position)
            if codes is None:
                matrix[:, position] = np.array(column, dtype=np.float64)
                continue
            found = matrix[:, position] = np.array(list(map(codes.get, column)), dtype=np.float64)
            for row in np.flatnonzero(np.isnan(found)).tolist():
                if column[row] is not None:
                    unseen.setdefault(row, []).append(self.columns[position])
        return matrix, unseen

    def codes(self, name: str, texts: Sequence[str]) -> np.ndarray:
        """What :meth:`encode` makes of texts in a categorical column, (texts,)."""
        known = self._codes[self.columns.index(name)]
        return np.array([known.get(text) for text in texts], dtype=np.float64)

    def _wrong(self, rows: Sequence[Sequence[Any]]) -> ValueError:
        """Names the first value that is no number."""
        for cells in rows:
            for name, cell in zip(self.columns, cells, strict=True):
                if cell is not None and not isinstance(cell, int | float):
                    return ValueError(f"column {name!r} was numeric when fitted, now {cell!r}")
        raise AssertionError("every value is a number")

    @cached_property
    def _cells(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """All values of a row at once; KeyError where one is not there."""
        first, *others = self.columns
        if not others:
            return lambda values: (values[first],)
        return itemgetter(*self.columns)

    @cached_property
    def _codes(self) -> dict[int, dict[str, int]]:
        """The code of each known value, by the column's position."""
        return {
            position: {value: code for code, value in enumerate(self.categories[name])}
            for position, name in enumerate(self.columns)
            if name in self.categories
        }

    def check(self, X: pd.DataFrame) -> None:
        """Refuse an X that lacks fitted columns, naming them."""
        missing = [name for name in self.columns if name not in X.columns]
        if missing:
            extra = [str(name) for name in X.columns if name not in self.columns]
            raise ColumnMismatchError(
                f"X lacks {len(missing)} of the {len(self.columns)} fitted columns: {missing}"
                + (f"; it has these unknown ones: {extra}" if extra else "")
            )

    def unseen(self, X: pd.DataFrame) -> dict[str, list[str]]:
        """For each categorical column, the values in X that were not there when fitted."""
        found = {
            name: sorted(set(X[name].dropna().astype(str)) - set(known))
            for name, known in self.categories.items()
            if name in X.columns
        }
        return {name: values for name, values in found.items() if values}

    def unseen_in(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The categorical columns, by name, whose value was not there when fitted."""
        found = (
            self.columns[position]
            for position, codes in self._codes.items()
            if (value := values.get(self.columns[position])) is not None and str(value) not in codes
        )
        return tuple(sorted(found))

    def _encode(self, column: pd.Series, name: str) -> np.ndarray:
        import pandas as pd

        known = self.categories.get(name)
        if known is None:
            try:
                return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
            except (TypeError, ValueError) as error:
                raise ValueError(f"column {name!r} was numeric when fitted, now {error}") from error
        values = column.astype(object).where(column.notna(), None)
        texts = [None if value is None else str(value) for value in values]
        codes = pd.Index(known, dtype=object).get_indexer(pd.Index(texts, dtype=object))
        return np.where(codes < 0, np.nan, codes.astype(np.float64))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "columns": list(self.columns),
            "categories": {name: list(values) for name, values in self.categories.items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> TabularEncoder:
        """The encoder that ``to_dict`` described."""
        return cls(
            tuple(state["columns"]),
            {name: tuple(values) for name, values in state["categories"].items()},
        )


def _is_numeric(column: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
