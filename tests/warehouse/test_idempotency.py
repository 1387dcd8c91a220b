"""Idempotency records: one of many callers begins, and the others get its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.exc import IntegrityError

from warehouse.database import connect, reading, writing
from warehouse.repositories import idempotency
from warehouse.repositories.idempotency import (
    LIFE,
    Begun,
    InFlight,
    OtherBody,
    Replay,
    SecretAnswer,
)
from warehouse.scored import migrate
from warehouse.tables import idempotency_keys

CALL = ("key-1", "POST", "/api/admin/keys", "abc")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
JSON = {"content-type": "application/json"}


ANSWER = b'{"id": "\xc3\xa9\\u0000"}'


def call(
    engine: Engine,
    body: str = "hash",
    now: datetime = NOW,
    call: tuple[str, ...] = CALL,
    answer: bytes = ANSWER,
    secret: bool = False,
) -> Any:
    """A call that is answered where it is the first; what ``begin`` said."""
    with writing(engine) as connection:
        begun = idempotency.begin(connection, *call, body, now)
        if begun == Begun():
            idempotency.finish(connection, *call, 201, JSON, answer, secret=secret)
        return begun


def test_the_first_answer_is_given_again_byte_by_byte(engine: Engine) -> None:
    assert call(engine) == Begun()
    assert call(engine) == Replay(201, JSON, ANSWER)
    assert call(engine, now=NOW + LIFE - TICK) == Replay(201, JSON, ANSWER)


def test_an_empty_answer_is_an_answer(engine: Engine) -> None:
    call(engine, answer=b"")
    assert call(engine) == Replay(201, JSON, b"")


@pytest.mark.parametrize("secret", [False, True])
def test_another_body_is_told_whatever_became_of_the_first(engine: Engine, secret: bool) -> None:
    call(engine, secret=secret)
    assert call(engine, body="other") == OtherBody()
    assert call(engine, body="other", now=NOW + LIFE - TICK) == OtherBody()


@pytest.mark.parametrize(
    "other",
    [
        ("key-2", *CALL[1:]),
        (CALL[0], "PUT", *CALL[2:]),
        (*CALL[:2], "/api/webhooks", CALL[3]),
        (*CALL[:3], "ABC"),
    ],
)
def test_caller_method_path_and_key_each_make_another_call(
    engine: Engine, other: tuple[str, ...]
) -> None:
    call(engine)
    assert call(engine, call=other) == Begun()


def test_an_answer_that_shows_a_secret_is_kept_nowhere(engine: Engine) -> None:
    call(engine, answer=b"svf_secret", secret=True)
    assert call(engine) == SecretAnswer()
    with reading(engine) as connection:
        row = connection.execute(select(idempotency_keys)).mappings().one()
    assert (row["response"], row["headers"], row["status"]) == (None, None, 201)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(update(idempotency_keys).values(response=b"svf_secret"))


def test_after_a_day_the_key_is_new_again_for_any_body(engine: Engine) -> None:
    call(engine)
    assert call(engine, body="other", now=NOW + LIFE, answer=b"new") == Begun()
    assert call(engine, body="other", now=NOW + LIFE) == Replay(201, JSON, b"new")


def test_what_was_not_begun_is_not_kept(engine: Engine) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="was begun"), writing(engine) as connection:
            idempotency.finish(connection, *CALL, 201, JSON, b"")
        call(engine)


def test_what_fails_in_the_same_transaction_leaves_no_record(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        assert idempotency.begin(connection, *CALL, "hash", NOW) == Begun()
        transaction.rollback()
    assert call(engine) == Begun()


def test_purging_leaves_what_is_younger(engine: Engine) -> None:
    call(engine)
    younger = (*CALL[:3], "younger")
    call(engine, now=NOW + LIFE, call=younger)
    with writing(engine) as connection:
        assert idempotency.purge(connection, NOW + LIFE) == 1
        assert idempotency.purge(connection, NOW + LIFE) == 0
    assert isinstance(call(engine, now=NOW + LIFE, call=younger), Replay)


@pytest.mark.parametrize("odd", ["/" + "\N{GRINNING FACE}" * 3000, "/a\0b", "/\udcff", "/a\nb"])
def test_parts_that_no_index_could_hold_are_still_told_apart(engine: Engine, odd: str) -> None:
    other = (*CALL[:2], odd, "\N{GRINNING FACE}" * 200)
    assert call(engine, call=other) == Begun()
    assert isinstance(call(engine, call=other), Replay)
    assert call(engine, call=(*CALL[:2], odd + "x", other[3])) == Begun()


def at_once(url: str, count: int, work: Callable[[Engine, int], Any]) -> list[Any]:
    """What each of several instances, each with its own connections, gets."""
    gate = threading.Barrier(count)
    found: list[Any] = [None] * count

    def run(number: int) -> None:
        engine = connect(url)
        gate.wait()
        try:
            found[number] = work(engine, number)
        except Exception as error:  # noqa: BLE001 - handed to the caller's assertion
            found[number] = error
        engine.dispose()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("earlier", ["none", "outlived"])
def test_of_many_that_begin_at_once_one_makes_something(
    engine: Engine, warehouse_url: str, earlier: str
) -> None:
    if earlier == "outlived":
        call(engine, now=NOW - LIFE)

    found = at_once(warehouse_url, 8, lambda own, number: call(own, answer=str(number).encode()))

    [made] = [number for number, one in enumerate(found) if one == Begun()]
    answer = Replay(201, JSON, str(made).encode())
    assert all(one in (Begun(), answer, InFlight()) for one in found)
    assert call(engine) == answer


@pytest.mark.postgres
def test_on_postgresql_one_in_flight_is_told_at_once_and_makes_room_where_it_fails(
    postgres_url: str,
) -> None:
    engine = connect(postgres_url)
    migrate(engine, [])
    with engine.connect() as connection, connection.begin() as transaction:
        assert idempotency.begin(connection, *CALL, "hash", NOW) == Begun()
        assert call(engine) == InFlight()
        assert call(engine, body="other") == InFlight()
        assert call(engine, call=("key-2", *CALL[1:])) == Begun()
        transaction.rollback()
    assert call(engine) == Begun()
    engine.dispose()


@pytest.mark.postgres
def test_a_record_that_goes_while_it_is_looked_at_lets_the_call_begin(postgres_url: str) -> None:
    engine, other = connect(postgres_url), connect(postgres_url)
    migrate(engine, [])
    call(engine)

    @event.listens_for(engine, "before_cursor_execute")
    def _purged(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT idempotency_keys"):
            with writing(other) as connection:
                idempotency.purge(connection, NOW + TICK)

    assert call(engine) == Begun()
    for one in (engine, other):
        one.dispose()
