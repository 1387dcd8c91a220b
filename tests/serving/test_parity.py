"""By id the stored decision bit for bit, many like each alone, a what-if as the model has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.models import ModelSpec, default_registry
from ml.serving.base import Answer, Asked, QueryError
from ml.serving.clients import MANY
from tests.methods.test_quotes import LAST as QUOTED_THROUGH
from tests.methods.test_quotes import offers
from tests.serving.cases import Case, case_of, comparable
from tests.serving.conftest import SPECS, Learned
from tests.small_firm import Firm, write_csv

CLIENTS = ("churn", "profitability")


@pytest.fixture(params=CLIENTS)
def clients(learned: Learned, request: pytest.FixtureRequest) -> Case:
    return learned(SPECS[request.param])


def answered(case: Case, **question: Any) -> list[dict[str, Any]]:
    return [comparable(row) for row in case.answer(**question).decisions]


def answer_or_error(case: Case, asked: Asked, reasons: bool) -> Answer | QueryError:
    try:
        return case.serving.answer(asked, reasons)
    except QueryError as error:
        return error


def test_a_client_by_id_is_the_stored_decision_with_its_reasons(clients: Case) -> None:
    assert len(clients.rows) > 20
    for row in clients.rows:
        assert answered(clients, client_id=row["client_id"]) == [row]


def test_without_reasons_nothing_else_changes(clients: Case) -> None:
    for row in clients.rows[:5]:
        answer = clients.serving.answer(clients.asked(client_id=row["client_id"]), reasons=False)
        assert comparable(answer.decisions[0]) == {**row, "reasons": None}


def test_many_answers_are_those_of_each_question_alone_and_errors_keep_their_place(
    clients: Case,
) -> None:
    known = [clients.asked(client_id=row["client_id"]) for row in clients.rows]
    name = clients.serving.estimator.encoder_.columns[0]
    asked = [
        *known[:7],
        clients.asked(client_id="nobody"),
        *known[7:],
        clients.asked(features={"colour": 1}),
        clients.asked(client_id=clients.rows[0]["client_id"], features={name: None}),
    ]
    for reasons in (True, False):
        each_as_alone(clients, asked, reasons)
    assert clients.serving.answer_many([]) == []


def each_as_alone(case: Case, asked: Sequence[Asked], reasons: bool = True) -> None:
    """Asked together, each question has the answer or error that it has alone."""
    for one, found in zip(asked, case.serving.answer_many(asked, reasons), strict=True):
        alone = answer_or_error(case, one, reasons)
        if isinstance(alone, QueryError):
            assert isinstance(found, QueryError)
            assert (str(found), found.pointer) == (str(alone), alone.pointer)
        else:
            assert found == alone


def what_ifs(case: Case) -> st.SearchStrategy[dict[str, Any]]:
    """Questions with features given, of clients that are known or not; some cannot be answered."""
    encoder: Any = case.serving.estimator.encoder_
    texts = sorted(encoder.categories)
    numbers = [name for name in encoder.columns if name not in encoder.categories]
    known = sorted({value for values in encoder.categories.values() for value in values})
    number = st.none() | st.booleans() | st.integers(-5, 500) | st.floats(-1e9, 1e9)
    text = st.sampled_from([*known, "never seen"])
    right = st.builds(
        or_,
        st.dictionaries(st.sampled_from(numbers), number, max_size=6),
        st.dictionaries(st.sampled_from(texts), st.none() | text, max_size=2),
    )
    wrong = st.sampled_from([{numbers[0]: "1"}, {texts[0]: 1}, {"colour": 1}, {"colour": None}])
    features = st.one_of(right, right, right, st.builds(or_, right, wrong))
    clients = st.sampled_from([*sorted(case.stored), "nobody"])
    return st.builds(
        lambda client, given: {"client_id": client, "features": given or None}, clients, features
    ) | features.filter(bool).map(lambda given: {"features": given})


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_many_what_ifs_are_read_by_column_as_each_alone(learned: Learned, data: Any) -> None:
    case = learned(SPECS[data.draw(st.sampled_from(CLIENTS))])
    questions = data.draw(st.lists(what_ifs(case), min_size=MANY, max_size=3 * MANY))
    asked = [case.asked(**question) for question in questions]
    each_as_alone(case, asked)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_rows_figures_do_not_depend_on_its_neighbours(learned: Learned, data: Any) -> None:
    case = learned(SPECS[data.draw(st.sampled_from(CLIENTS))])
    estimator: Any = case.serving.estimator
    names = list(case.stored)
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=30))
    rows = [case.stored[name] for name in chosen]
    together = estimator.encoder_.encode(rows)
    moves, base = estimator.moves(together)
    decided = case.serving.decided(together)
    for at, row in enumerate(rows):
        alone = estimator.encoder_.encode([row])
        np.testing.assert_array_equal(alone[0], together[at])
        own, own_base = estimator.moves(alone)
        np.testing.assert_array_equal(own[0], moves[at])
        assert own_base[0] == base[at]
        for name, values in case.serving.decided(alone).items():
            assert values[0] == decided[name][at], name


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_what_if_is_the_decision_on_the_changed_features(learned: Learned, data: Any) -> None:
    case = learned(SPECS[data.draw(st.sampled_from(CLIENTS))])
    encoder: Any = case.serving.estimator.encoder_
    client = data.draw(st.sampled_from(sorted(case.stored)))
    names = data.draw(st.lists(st.sampled_from(encoder.columns), min_size=1, max_size=4))
    number = st.one_of(st.none(), st.booleans(), st.integers(-5, 500), st.floats(-1e9, 1e9))
    given_ = {
        name: data.draw(
            st.sampled_from([*encoder.categories[name], "never seen", None])
            if name in encoder.categories
            else number
        )
        for name in names
    }
    features = case.inputs["features"]
    changed = features[features["client_id"] == client].reset_index(drop=True)
    for name, value in given_.items():
        missing = np.nan if name not in encoder.categories else None
        column = [missing if value is None else value]
        changed[name] = pd.Series(column, dtype=object if name in encoder.categories else float)
    expected = case.method.decide(case.fitted, {"features": changed}, case.day, "all")
    answer = case.answer(client_id=client, features=given_)
    found, wanted = comparable(answer.decisions[0]), comparable(expected.iloc[0].to_dict())
    assert {**found, "reasons": None} == {**wanted, "reasons": None}
    assert list(answer.given) == sorted(given_)
    assert set(answer.stored) == set(encoder.columns) - set(given_)
    assert set(answer.unseen) == {n for n, v in given_.items() if v == "never seen"}


def test_features_alone_are_answered_and_the_rest_is_missing(clients: Case) -> None:
    encoder: Any = clients.serving.estimator.encoder_
    number = next(name for name in encoder.columns if name not in encoder.categories)
    answer = clients.answer(features={number: 3})
    assert answer.decisions[0]["client_id"] == "given"
    assert list(answer.given) == [number]
    assert set(answer.missing) == set(encoder.columns) - {number}
    whole = dict(clients.stored[clients.rows[0]["client_id"]])
    row = comparable(clients.answer(features=whole).decisions[0])
    assert row == {**clients.rows[0], "client_id": "given"}


def test_a_price_by_id_is_the_stored_recommendation(learned: Learned) -> None:
    case = learned(SPECS["pricing"])
    assert {row["status"] for row in case.rows} == {"recommended", "thin_evidence"}
    _prices_agree(case)


def _prices_agree(case: Case) -> None:
    for row in case.rows:
        question = {"service_id": row["service_id"], "segment": row["segment"]}
        assert answered(case, **question) == [row]
        if row["status"] == "recommended":
            now = row["current_price"]
            prices = [now * share for share in (0.7, 0.95, 1.0, 1.3)]
            answer = case.answer(**question, prices=prices, unit_cost=now / 2, max_change=0.05)
            decision = answer.decisions[0]
            assert abs(decision["recommended_price"] / now - 1) <= 0.05 + 1e-9
            assert answer.detail is not None
            assert [point["price"] for point in answer.detail["curve"]] == prices
            # Each point is that of a question about it alone.
            for price, point in zip(prices, answer.detail["curve"], strict=True):
                alone = case.answer(**question, prices=[price], unit_cost=now / 2).detail
                assert alone is not None
                assert alone["curve"] == [point]


@pytest.fixture(scope="module")
def quoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Pricing where a source has quotes and no lines."""
    made = Firm(tmp_path_factory.mktemp("quoted"))
    write_csv(made.export_folder, "quotes", offers())
    workspace = made.on(QUOTED_THROUGH, registry=default_registry())
    workspace.ingest("ingest")
    method = workspace.method(SPECS["pricing"])
    folder = tmp_path_factory.mktemp("quotes")
    yield case_of(method, workspace.snapshot(), QUOTED_THROUGH, folder)
    workspace.engine.dispose()


def test_a_quoted_price_by_id_is_the_stored_recommendation(quoted: Case) -> None:
    assert "recommended" in {row["status"] for row in quoted.rows}
    _prices_agree(quoted)


def test_the_stored_split_is_the_answer_to_its_own_question(learned: Learned) -> None:
    case = learned(SPECS["budget"])
    rows = {row["channel"]: row for row in case.rows}
    shift = case.method.settings.max_budget_shift
    now = {name: row["current_amount"] for name, row in rows.items()}
    bounds = {
        name: {
            "low": round(amount * (1 - shift), 2),
            "high": round(amount * (1 + shift) + 0.01, 2),
        }
        for name, amount in now.items()
    }
    found = answered(case, total=round(sum(now.values()), 2), periods=1, bounds=bounds)
    assert {row["channel"]: row for row in found} == rows


def test_a_series_by_id_is_the_stored_forecast(learned: Learned) -> None:
    case = learned(SPECS["demand"])
    by_series: dict[str, list[dict[str, Any]]] = {}
    for row in case.rows:
        by_series.setdefault(row["series_id"], []).append(row)
    for name in list(by_series)[:4]:
        weeks = case.method.settings.demand_weeks
        assert answered(case, series_id=name, horizon=weeks) == by_series[name]
        assert answered(case, series_id=name, horizon=3) == by_series[name][:3]


def test_stored_observations_have_the_stored_scores(learned: Learned) -> None:
    case = learned(SPECS["anomaly"])
    rows = [row for row in case.rows if row["subject_kind"] == "series"]
    assert rows
    judged = ("value", "score", "expected_low", "expected_high")
    for name in sorted({row["subject_id"] for row in rows}):
        mine = sorted(
            (row for row in rows if row["subject_id"] == name), key=lambda row: row["observed_at"]
        )
        observations = [
            {"observed_at": row["observed_at"].isoformat(), "value": row["value"]} for row in mine
        ]
        found = answered(case, series_id=name, observations=observations)
        assert [row["observed_at"] for row in found] == [row["observed_at"] for row in mine]
        for key in judged:
            assert [row[key] for row in found] == [row[key] for row in mine], key


def test_a_rows_features_have_the_score_of_that_row(learned: Learned) -> None:
    from ml.methods.anomaly_fitted import FEATURES
    from ml.methods.anomaly_rows import row_frames

    case = learned(SPECS["anomaly"])
    for kind, frame in row_frames(case.inputs["lines"]).items():
        for values in frame[FEATURES[kind]].tail(20).to_dict("records"):
            row = np.array([[values[name] for name in FEATURES[kind]]])
            found = case.answer(features=values).decisions[0]
            assert found["subject_kind"] == kind
            assert found["score"] == case.fitted.row_scores(kind, row)[0]


def test_an_item_alone_is_judged_as_among_all(learned: Learned) -> None:
    case = learned(SPECS["revenue_leak"])
    lines = case.inputs["lines"].set_index("line_id")
    work = case.inputs["work"].set_index("entry_id")
    assert {"line", "work_entry"} == {row["item_kind"] for row in case.rows}
    for row in case.rows:
        of = lines if row["item_kind"] == "line" else work
        item = of.loc[row["item_id"]]
        fields: dict[str, Any] = {
            "client_id": item["client_id"],
            "service_id": item["service_id"],
            "quantity": float(item["quantity"]),
        }
        if row["item_kind"] == "line":
            fields |= {
                "line_id": row["item_id"],
                "issued_on": str(pd.Timestamp(item["issued_on"]).date()),
                "unit_price": float(item["unit_price"]),
                "invoice_id": item["invoice_id"],
            }
        else:
            fields |= {
                "entry_id": row["item_id"],
                "worked_on": str(pd.Timestamp(item["worked_on"]).date()),
                "billable": bool(item["billable"]),
            }
        assert answered(case, **{row["item_kind"]: fields}) == [row]


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_the_example_has_an_answer_or_a_refusal_in_words(learned: Learned, spec: ModelSpec) -> None:
    case = learned(spec)
    entity = next(iter(case.stored), None)
    for name, features in ((entity, case.stored.get(entity or "")), (None, None)):
        query = spec.Query.model_validate(case.serving.example(name, features))
        has = features if case.serving.entity_of(query) else None
        answer = answer_or_error(case, Asked(query, has, case.day), reasons=False)
        if isinstance(answer, QueryError):
            assert name is None, answer
            assert str(answer)
            continue
        for decision in answer.decisions:
            spec.Decision.model_validate(comparable(decision))


def test_the_files_of_a_light_form_are_all_it_reads(learned: Learned, tmp_path: Path) -> None:
    case = learned(SPECS["churn"])
    for name in ("model.json", "facts.json", "model.trees.txt", "model.linear.json"):
        (tmp_path / name).write_bytes((case.folder / name).read_bytes())
    again = type(case.serving)(case.method.spec, case.method.settings, tmp_path)
    asked = case.asked(client_id=case.rows[0]["client_id"])
    assert again.answer(asked) == case.serving.answer(asked)
