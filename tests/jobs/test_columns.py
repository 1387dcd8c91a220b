"""Rows that are answered by column have the outcomes that they have one by one, cell for cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.jobs import stored
from ml.jobs.answering import Answering, Outcomes
from ml.jobs.joining import schema_of
from ml.jobs.outcomes import outcome_columns
from ml.jobs.reading import Rows, read_rows
from ml.jobs.stored import StoredSchemaError
from ml.lifecycle.scoring import score
from ml.lifecycle.training import train
from ml.lifecycle.workspace import Workspace
from ml.models.parts import LARGEST, LONGEST_ID, LONGEST_TEXT
from ml.models.spec import ModelSpec
from ml.refusals import FileError
from ml.serving.base import Asked
from ml.serving.clients import ClientServing
from ml.settings import MlSettings
from tests.small_firm import morning_after
from warehouse.database import reading, writing
from warehouse.repositories import models, online
from warehouse.settings import WarehouseSettings

DAY = date(2026, 6, 30)
MODELS = ("churn", "profitability")
NUMBERS = ("revenue_90d", "margin_365d", "days_since_purchase", "lines_90d")
CATEGORIES = {"segment": ("small", "mid"), "region": ("west", "north")}
OTHERS = ("features.no_such", "features.a.b", "features.", "features", "client_id.x")
HERE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A scored day of the client models; promoted by hand, since so small a firm passes no gate."""
    home = WarehouseSettings(
        home=tmp_path_factory.mktemp("columns"), source=f"sample:clients=60,seed=11,end={DAY}"
    )
    opened = Workspace.open(home, MlSettings(training_months=6), clock=morning_after(DAY))
    opened.ingest("ingest")
    for name in MODELS:
        spec = opened.registry[name]
        trained = train(opened, spec, "train")
        with writing(opened.engine) as connection:
            models.promote(connection, name, trained.version, "for the tests", "test")
        # A day before the newest, so that rows with and without stored features differ in their day
        score(opened, spec, [DAY - timedelta(days=1)], "score")
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def ids(workspace: Workspace) -> list[str]:
    """Clients with stored features."""
    with reading(workspace.engine) as connection:
        found = [name for some in online.entities(connection, "churn") for name in some]
    assert len(found) > 10
    return found


Champion = Callable[[str, bool], Answering]


@pytest.fixture(scope="module")
def champion(workspace: Workspace) -> Champion:
    """A model's champion, loaded once with and once without reasons."""
    held: dict[tuple[str, bool], Answering] = {}

    def of(name: str, reasons: bool) -> Answering:
        key = name, reasons
        if key not in held:
            held[key] = Answering(workspace, workspace.registry[name], reasons)
        return held[key]

    return of


def one_by_one(answering: Answering, rows: Rows) -> Outcomes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientServing, "by_column", False)
        return answering.answer(rows)


def told(answer: Callable[[], Outcomes]) -> Outcomes | str:
    """The outcomes, or why the file is refused."""
    try:
        return answer()
    except FileError as refused:
        return str(refused)


def same(answering: Answering, rows: Rows) -> Outcomes | None:
    """The outcomes, which are the same in both ways; None where both refuse the file."""
    expected = told(lambda: one_by_one(answering, rows))
    found = told(lambda: answering.answer(rows))
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return None
    schema = schema_of(outcome_columns(answering.spec))
    ours, theirs = found.table.cast(schema), expected.table.cast(schema)
    assert ours.equals(theirs), (rows, ours, theirs)
    assert (found.rows_ok, found.errors) == (expected.rows_ok, expected.errors)
    found.table.validate(full=True)
    return found


# What stands in the cells of a CSV.
PLAIN = st.one_of(
    st.floats(-1e6, 1e6).map(repr),
    st.integers(-1000, 1000).map(str),
    st.sampled_from(["", "", "+5", "5.", ".5", "-0", "0012", "1e5", "1E-3", "1e-400", "1e12"]),
)
ODD = st.one_of(
    st.sampled_from(
        [
            *("1e400", "-1e999", "1e13", "1000000000001", " 5 ", "5 ", "nan", "-NaN", "inf"),
            *("Infinity", "-inf", "0x10", "1_000", "1,5", "1e", "-", ".", "--1", "+-1", "e5"),
            *("true", "false", "True", "null", "None", "[1]", '{"a": 1}', "[", "{", "2024-01-01"),
            *("５", "é", "\U0001f600", "many", '"', "5\n", "9" * 400),
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
)


def texts_of(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [
            *CATEGORIES[name],
            *("", "no such", "2024", "true", " west", "é", "x" * LONGEST_TEXT),
            *("x" * (LONGEST_TEXT + 1), "9" * (LONGEST_TEXT + 1), "[1]"),
        ]
    )


def id_texts(ids: Sequence[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(ids),
        st.sampled_from(["", "nobody", "given", "é", "x" * LONGEST_ID, "x" * (LONGEST_ID + 1)]),
    )


def cells(name: str, ids: Sequence[str]) -> st.SearchStrategy[str]:
    """Cells of a column: mostly plain ones."""
    if name == "client_id":
        return id_texts(ids)
    field = name.removeprefix("features.")
    if field in CATEGORIES:
        return texts_of(field)
    if field in NUMBERS:
        return st.one_of(PLAIN, PLAIN, PLAIN, ODD)
    return st.one_of(st.just(""), st.just(""), PLAIN, ODD)


NAMES = ["client_id", *(f"features.{name}" for name in (*NUMBERS, *CATEGORIES))]
COLUMNS = st.one_of(
    st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    st.lists(st.sampled_from([*NAMES, *OTHERS]), min_size=1, unique=True),
    st.just(["client_id"]),
    st.just(["colour", "client_id"]),
)


@HERE
@given(data=st.data(), columns=COLUMNS, name=st.sampled_from(MODELS), reasons=st.booleans())
def test_a_csv_has_the_same_outcomes_by_column(
    champion: Champion,
    ids: list[str],
    tmp_path: Path,
    data: st.DataObject,
    columns: list[str],
    name: str,
    reasons: bool,
) -> None:
    row = st.tuples(*(cells(column, ids) for column in columns))
    written = data.draw(st.lists(row, max_size=12))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *written])
    path = tmp_path / "rows.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    answering = champion(name, reasons)
    for rows in read_rows(path, "csv", chunk_rows=5):
        same(answering, rows)


# What stands in the columns of a Parquet file, by their type.
FLOATS = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, LARGEST])
TEXTS = st.none() | PLAIN | ODD
SEGMENTS = st.none() | texts_of("segment")
TYPED: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.float64(), FLOATS | st.floats()),
    (pa.float32(), FLOATS | st.floats(width=32)),
    (pa.int64(), st.none() | st.integers(-(10**13), 10**13)),
    (pa.int8(), st.none() | st.integers(-128, 127)),
    (pa.uint64(), st.none() | st.integers(0, 2**64 - 1) | st.integers(0, 9)),
    (pa.bool_(), st.none() | st.booleans()),
    (pa.string(), TEXTS | SEGMENTS),
    (pa.large_string(), TEXTS | SEGMENTS),
    (pa.string_view(), TEXTS | SEGMENTS),
    (pa.dictionary(pa.int32(), pa.string()), TEXTS | SEGMENTS),
    (pa.null(), st.none()),
    (pa.date32(), st.none() | st.dates(date(2000, 1, 1), date(2030, 1, 1))),
    (pa.decimal128(9, 2), st.none() | st.integers(-99, 99).map(lambda n: Decimal(n).scaleb(-2))),
    (pa.binary(), st.none() | st.binary(max_size=3)),
    (pa.list_(pa.float64()), st.none() | st.lists(st.floats(0, 1), max_size=2)),
    (pa.struct([("revenue_90d", pa.float64())]), st.none() | st.just({"revenue_90d": 1.5})),
]
ID_TYPES = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


@st.composite
def typed_tables(draw: st.DrawFn, ids: Sequence[str]) -> pa.Table:
    count = draw(st.integers(0, 8))
    found = {}
    for name in draw(COLUMNS):
        if name == "client_id" and draw(st.integers(0, 4)):
            kind: pa.DataType = draw(st.sampled_from(ID_TYPES))
            values: st.SearchStrategy[Any] = st.none() | id_texts(ids) | st.just("a\0b")
        elif name.removeprefix("features.") in NUMBERS and draw(st.booleans()):
            kind, values = TYPED[draw(st.integers(0, 5))]
        else:
            kind, values = draw(st.sampled_from(TYPED))
        found[name] = pa.array(draw(st.lists(values, min_size=count, max_size=count)), kind)
    return pa.table(found)


@HERE
@given(data=st.data(), name=st.sampled_from(MODELS), reasons=st.booleans())
def test_a_parquet_file_has_the_same_outcomes_by_column(
    champion: Champion,
    ids: list[str],
    tmp_path: Path,
    data: st.DataObject,
    name: str,
    reasons: bool,
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(data.draw(typed_tables(ids)), path, row_group_size=3)
    for rows in read_rows(path, "parquet", chunk_rows=5):
        same(champion(name, reasons), rows)


def test_only_rows_that_are_not_plainly_in_order_are_asked_one_by_one(
    champion: Champion, ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "client_id,features.revenue_90d,features.segment,features.no_such\n"
        f"{ids[0]},,,\n{ids[1]},12.5,mid,\nnobody,3,é,\n,7,,\n"
        f"{ids[2]},many,,\nnobody,,,\n{ids[3]},1,,1\n",
        encoding="utf-8",
    )
    answering = champion("churn", False)
    [rows] = read_rows(path, "csv")
    found = same(answering, rows)
    assert found is not None
    assert found.rows_ok == 4
    asked: list[int] = []
    inner = ClientServing.answer_many

    def counted(self: ClientServing, some: Sequence[Asked], reasons: bool = True) -> Any:
        asked.append(len(some))
        return inner(self, some, reasons)

    monkeypatch.setattr(ClientServing, "answer_many", counted)
    answering.answer(rows)
    assert asked == [3], "three have no answer, four are in order"


def test_a_file_about_many_clients_sees_those_scored_since(
    workspace: Workspace, champion: Champion, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MANY", 2)
    answering = Answering(workspace, workspace.registry["churn"], False)
    table = pa.table({"client_id": [*ids, "nobody", "late"]})
    rows = Rows(np.arange(1, len(ids) + 3), [], table=table)
    before = same(answering, rows)
    assert before is not None
    assert [one.line for one in before.errors] == [len(ids) + 1, len(ids) + 2]
    with writing(workspace.engine) as connection:
        every = online.get(connection, "churn", ids)
        kept = every[ids[0]]
        batch = online.OnlineBatch(
            kept.schema_hash,
            [*every, "late"],
            [*(one.features for one in every.values()), kept.features],
        )
        online.replace_if_newest(connection, "churn", kept.as_of, "another version", batch)
    after = same(answering, rows)
    assert after is not None
    assert [one.line for one in after.errors] == [len(ids) + 1]
    late = after.table.to_pylist()[-1]
    assert (late["client_id"], late["as_of"]) == ("late", kept.as_of)


def test_features_of_another_schema_stop_the_job_in_both_ways(
    workspace: Workspace, champion: Champion, ids: list[str]
) -> None:
    spec: ModelSpec = workspace.registry["profitability"]
    answering = champion(spec.name, False)
    rows = Rows(np.array([1]), [], table=pa.table({"client_id": [ids[0]]}))
    with writing(workspace.engine) as connection:
        kept = online.get(connection, spec.name, [ids[0]])[ids[0]]
        one = "UPDATE online_features SET schema_hash = {!r} WHERE model = {!r} AND entity = {!r}"
        connection.exec_driver_sql(one.format("other", spec.name, ids[0]))
    for way in (answering.answer, lambda some: one_by_one(answering, some)):
        with pytest.raises(StoredSchemaError, match="score again"):
            way(rows)
    with writing(workspace.engine) as connection:
        connection.exec_driver_sql(one.format(kept.schema_hash, spec.name, ids[0]))
