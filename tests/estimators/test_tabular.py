"""TabularEncoder: names decide, never positions; what is unknown is missing or refused by name."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.tabular import ColumnMismatchError, TabularEncoder

cells = st.one_of(st.none(), st.text(max_size=5))


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(cells, st.one_of(st.none(), st.floats(allow_infinity=False)), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    order=st.permutations(["text", "number", "flag"]),
)
def test_column_order_and_extra_columns_never_matter(
    rows: list[tuple[str | None, float | None, bool]], order: list[str]
) -> None:
    X = pd.DataFrame(rows, columns=["text", "number", "flag"]).astype(
        {"text": object, "number": float, "flag": bool}
    )
    encoder = TabularEncoder.fit(X)
    expected = encoder.transform(X)
    turned = X[order].assign(extra=1)
    np.testing.assert_array_equal(encoder.transform(turned), expected)
    assert expected.shape == (len(X), 3)
    assert expected.dtype == np.float64


@settings(max_examples=80, deadline=None)
@given(values=st.lists(cells, min_size=1, max_size=30))
def test_categories_come_back_by_their_code(values: list[str | None]) -> None:
    X = pd.DataFrame({"text": pd.Series(values, dtype=object)})
    encoder = TabularEncoder.fit(X)
    known = encoder.categories["text"]
    codes = encoder.transform(X)[:, 0]
    decoded = [None if np.isnan(code) else known[int(code)] for code in codes]
    assert decoded == values
    assert list(known) == sorted(set(known))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(cells, min_size=1, max_size=20))
def test_a_round_trip_through_json_changes_nothing(values: list[str | None]) -> None:
    X = pd.DataFrame({"text": pd.Series(values, dtype=object), "number": range(len(values))})
    encoder = TabularEncoder.fit(X)
    again = TabularEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    np.testing.assert_array_equal(again.transform(X), encoder.transform(X))
    assert again.columns == encoder.columns


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_every_text_type_is_encoded_alike(dtype: str) -> None:
    X = pd.DataFrame({"c": pd.Series(["b", None, "a", "b"], dtype=object).astype(dtype)})
    encoder = TabularEncoder.fit(X)
    np.testing.assert_array_equal(encoder.transform(X)[:, 0], [1, np.nan, 0, 1])
    assert encoder.categorical_indices == [0]


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float32", "int8"])
def test_every_number_type_is_read_as_float(dtype: str) -> None:
    X = pd.DataFrame({"n": pd.Series([1, 0, 1]).astype(dtype)})
    np.testing.assert_array_equal(TabularEncoder.fit(X).transform(X)[:, 0], [1.0, 0.0, 1.0])


def test_unseen_categories_become_missing_and_are_named() -> None:
    encoder = TabularEncoder.fit(pd.DataFrame({"c": ["a", "b"]}))
    fresh = pd.DataFrame({"c": ["b", "z", None]})
    np.testing.assert_array_equal(encoder.transform(fresh)[:, 0], [1, np.nan, np.nan])
    assert encoder.unseen(fresh) == {"c": ["z"]}


def test_missing_columns_are_refused_by_name_with_the_unknown_ones() -> None:
    encoder = TabularEncoder.fit(pd.DataFrame({"revenue": [1.0], "tenure": [2.0]}))
    with pytest.raises(ColumnMismatchError, match=r"\['revenue'\].*\['revenu'\]"):
        encoder.transform(pd.DataFrame({"revenu": [1.0], "tenure": [2.0]}))


def test_text_in_a_number_column_is_refused_by_name() -> None:
    encoder = TabularEncoder.fit(pd.DataFrame({"revenue": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="revenue"):
        encoder.transform(pd.DataFrame({"revenue": ["a lot", "some"]}))


def test_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ColumnMismatchError, match="same name"):
        TabularEncoder.fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
