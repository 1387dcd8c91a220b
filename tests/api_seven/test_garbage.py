"""Whatever is sent to a model is answered, or refused with the place that is wrong; never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ml.models import ModelSpec, default_registry
from tests.api.test_decisions import problem
from tests.api_seven.test_examples import valid

SPECS = list(default_registry().values())
JSON = {"content-type": "application/json"}
HUGE = "1" + "0" * 400
EVERY_SPEC = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


NOT_FOR_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e400", HUGE, f"-{HUGE}")
OTHER_KINDS = ("[[]]", '{"a": {}}', "[" * 100 + "]" * 100)
"""No field of any query takes these in place of a number or a text."""
VALUES = (
    *NOT_FOR_NUMBERS,
    *OTHER_KINDS,
    *("null", "true", "{}", "[]", "0", "-0.0", "-1", "5e-324", "1e12", "1e13", "9007199254740993"),
    *("104", "105", "1000000", '""', '"x"', '" "', '"a\\u0000b"', '"\\ud83d\\ude00"'),
    *(json.dumps("x" * length) for length in (201, 1001, 100_000)),
    *('"0000-00-00"', '"0001-01-01"', '"1899-12-31"', '"2200-12-31"', '"9999-12-31"'),
    *('"2026-02-30"', '"2026-W10-1"', '"2026-060"', '"20260615"', '"2026-06-15T25:00:00"'),
    *('"2026-06-15T12:00:00+02:00"', '"2026-06-15T12:00:00.123456789"', '"2026-06-15 12:30"'),
    *('"١٢٣٤-٠١-٠١"', '"now"', '"NaT"', '"nan"', '"2026-06-15T24:00:00"'),
)
"""JSON texts, not Python values: some can be written and not be meant."""
UNREADABLE = ('"\\ud800"', '"\\udc00x"', '"\\x"', "'x'", "01", "+1", ".5", "undefined", "1,")


@dataclass(frozen=True)
class Changed:
    """A documented query with one place changed: the body, where, and to what."""

    body: str
    pointer: str
    value: str


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Each place in a query, without the whole."""
    if path:
        yield path
    items: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = list(enumerate(value))[:2]
    for name, inner in items:
        yield from places(inner, (*path, name))


def changed(query: dict[str, Any], path: tuple[str | int, ...], value: str) -> Changed:
    copy = json.loads(json.dumps(query))
    inside = copy
    for part in path[:-1]:
        inside = inside[part]
    inside[path[-1]] = "@here@"
    pointer = "".join(f"/{part}" for part in path)
    return Changed(json.dumps(copy).replace('"@here@"', value), pointer, value)


def changes(spec: ModelSpec) -> st.SearchStrategy[Changed]:
    queries = spec.Query.model_json_schema()["examples"]
    at = [(query, path) for query in queries for path in places(query)]
    values = st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(UNREADABLE),
        st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
        st.integers().map(str),
        st.text(max_size=60).map(json.dumps),
        st.datetimes().map(lambda moment: json.dumps(moment.isoformat())),
    )
    return st.builds(lambda place, value: changed(*place, value), st.sampled_from(at), values)


CHANGES = {spec.name: changes(spec) for spec in SPECS}


def related(one: str, other: str) -> bool:
    """Whether one of two places lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def holds(query: Any, pointer: str) -> bool:
    """Whether a query has such a place."""
    for part in pointer.split("/")[1:]:
        try:
            query = query[int(part) if isinstance(query, list) else part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def checked(spec: ModelSpec, document: dict[str, Any], answer: httpx.Response) -> dict[str, Any]:
    """The body of a 200 that is as documented, or of a 4xx that says what is wrong where."""
    assert answer.status_code < 500, answer.text
    if answer.status_code == 200:
        body: dict[str, Any] = answer.json()
        valid(document, spec.Decision.__name__.replace("Decision", "Answer"), body)
        return body
    refused = problem(answer, 422, answer.json()["code"])
    assert refused["code"] in ("invalid_request", "query_not_answerable")
    assert refused["errors"]
    return refused


@EVERY_SPEC
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_query_with_one_place_changed(
    client: httpx.Client, document: dict[str, Any], spec: ModelSpec, data: Any
) -> None:
    sent = data.draw(CHANGES[spec.name])
    note(f"{sent.pointer} = {sent.value[:200]}")
    path, body = f"/api/{spec.route}", sent.body.encode()
    answer = client.post(path, content=body, headers=JSON)
    found = checked(spec, document, answer)
    pointers = [error["pointer"] for error in found.get("errors", ())]
    if found.get("code") == "query_not_answerable":
        # A bound may be wrong for a total, a segment for a service: either may be named.
        assert all(holds(json.loads(sent.body), pointer) for pointer in pointers)
    else:
        assert all(related(pointer, sent.pointer) for pointer in pointers)
    if sent.value in UNREADABLE:
        assert pointers == [""]
    elif sent.value in NOT_FOR_NUMBERS:
        assert pointers == [sent.pointer]
    elif sent.value in OTHER_KINDS and pointers:
        assert all(pointer.startswith(sent.pointer) for pointer in pointers)

    good = spec.Query.model_json_schema()["examples"][0]
    batch = b'{"items": [' + body + b", " + json.dumps(good).encode() + b"]}"
    answers = client.post(f"{path}/batch", content=batch, headers=JSON)
    if sent.value in UNREADABLE and answers.status_code == 422:
        problem(answers, 422, "invalid_request")
        return
    assert answers.status_code == 200, answers.text
    first, second = answers.json()["items"]
    assert second["error"] is None
    assert second["result"]["decisions"]
    if answer.status_code == 200:
        assert first == {"result": found, "error": None}
    else:
        assert first["result"] is None
        assert {**first["error"], "request_id": 0} == {**found, "request_id": 0}


BODIES = {
    "empty": b"",
    "blank": b" \n",
    "cut": b'{"a": 1',
    "no value": b'{"a": }',
    "byte order mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "bad utf-8 in a value": b'{"client_id": "\xff"}',
    "bad utf-8 in a name": b'{"\xc3\x28": 1}',
    "encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "escaped surrogate in a name": b'{"\\ud800": 1}',
    "open brackets": b"[" * 10_000,
    "closed brackets": b"[" * 10_000 + b"]" * 10_000,
    "nested objects": b'{"a": ' * 10_000 + b"1" + b"}" * 10_000,
    "two documents": b"{} {}",
    "NUL": b"\0",
    "null": b"null",
    "list": b"[]",
    "number": b"3",
    "huge number": HUGE.encode(),
    "not a number": b"NaN",
    "text": b'"x"',
    "form": b"client_id=C0000001&total=3",
    "xml": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'a'>]><x>&a;</x>",
}


@EVERY_SPEC
@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_json_object_is_refused_as_a_whole(
    client: httpx.Client, spec: ModelSpec, name: str
) -> None:
    for path in (f"/api/{spec.route}", f"/api/{spec.route}/batch"):
        answer = client.post(path, content=BODIES[name], headers=JSON)
        found = problem(answer, 422, "invalid_request")
        assert [error["pointer"] for error in found["errors"]] == [""]


@EVERY_SPEC
def test_a_deep_field_is_refused_as_a_whole_or_at_its_place(
    client: httpx.Client, spec: ModelSpec
) -> None:
    deep = '{"deep": ' + "[" * 10_000 + "]" * 10_000 + "}"
    problem(client.post(f"/api/{spec.route}", content=deep, headers=JSON), 422, "invalid_request")
    batch = f'{{"items": [{deep}]}}'
    answer = client.post(f"/api/{spec.route}/batch", content=batch, headers=JSON)
    problem(answer, 422, "invalid_request")


@EVERY_SPEC
def test_missing_and_unknown_fields_are_named(client: httpx.Client, spec: ModelSpec) -> None:
    for query in spec.Query.model_json_schema()["examples"]:
        answer = client.post(f"/api/{spec.route}", json=query | {"colo/u~r": 1})
        found = problem(answer, 422, "invalid_request")
        assert [error["pointer"] for error in found["errors"]] == ["/colo~1u~0r"]
        for name in query:
            less = {key: value for key, value in query.items() if key != name}
            answer = client.post(f"/api/{spec.route}", json=less)
            if answer.status_code != 200:
                missing = problem(answer, 422, answer.json()["code"])["errors"]
                # What is left may be about something that is not there.
                assert missing[0]["pointer"] in ("", f"/{name}", "/service_id")


@EVERY_SPEC
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/json; charset=latin-1", ""]
)
def test_a_body_is_json_whatever_its_type_says(
    client: httpx.Client, spec: ModelSpec, kind: str
) -> None:
    query = spec.Query.model_json_schema()["examples"][0]
    path = f"/api/{spec.route}"
    said = client.post(path, content=json.dumps(query), headers={"content-type": kind})
    assert said.json() == client.post(path, json=query).json()


def test_of_a_field_given_twice_the_last_counts(client: httpx.Client) -> None:
    body = '{"client_id": "nobody", "client_id": "C0000001"}'
    answer = client.post("/api/churn", content=body, headers=JSON)
    assert answer.json()["decisions"][0]["client_id"] == "C0000001"
