"""Idempotency records: one of many callers begins, the others get its answer, nothing blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text, update
from sqlalchemy.exc import IntegrityError

from warehouse.database import connect, reading, writing
from warehouse.repositories import idempotency
from warehouse.repositories.idempotency import (
    LEASE,
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


def begin(
    engine: Engine, body: str = "hash", now: datetime = NOW, call: tuple[str, ...] = CALL
) -> Any:
    with writing(engine) as connection:
        return idempotency.begin(connection, *call, body, now)


def finish(engine: Engine, body: bytes = b'{"id": "\xc3\xa9\\u0000"}', **given: Any) -> bool:
    with writing(engine) as connection:
        return idempotency.finish(connection, *CALL, 201, JSON, body, **given)


def test_the_first_answer_is_given_again_byte_by_byte(engine: Engine) -> None:
    assert begin(engine) == Begun(NOW)
    assert begin(engine) == InFlight()
    assert finish(engine)
    assert begin(engine) == Replay(201, JSON, b'{"id": "\xc3\xa9\\u0000"}')
    assert begin(engine, now=NOW + LIFE - TICK) == Replay(201, JSON, b'{"id": "\xc3\xa9\\u0000"}')


def test_an_empty_answer_is_an_answer(engine: Engine) -> None:
    begin(engine)
    assert finish(engine, body=b"")
    assert begin(engine) == Replay(201, JSON, b"")


@pytest.mark.parametrize("state", ["in flight", "done", "secret"])
def test_another_body_is_told_whatever_became_of_the_first(engine: Engine, state: str) -> None:
    begin(engine)
    if state != "in flight":
        finish(engine, secret=state == "secret")
    assert begin(engine, body="other") == OtherBody()
    # A first call that died answers for its body until its day is over.
    assert begin(engine, body="other", now=NOW + LEASE) == OtherBody()


@pytest.mark.parametrize(
    "call",
    [
        ("key-2", *CALL[1:]),
        (CALL[0], "PUT", *CALL[2:]),
        (*CALL[:2], "/api/webhooks", CALL[3]),
        (*CALL[:3], "ABC"),
    ],
)
def test_caller_method_path_and_key_each_make_another_call(
    engine: Engine, call: tuple[str, ...]
) -> None:
    begin(engine)
    assert begin(engine, call=call) == Begun(NOW)


def test_an_answer_that_shows_a_secret_is_kept_nowhere(engine: Engine) -> None:
    begin(engine)
    assert finish(engine, body=b"svf_secret", secret=True)
    assert begin(engine) == SecretAnswer()
    with reading(engine) as connection:
        row = connection.execute(select(idempotency_keys)).mappings().one()
    assert (row["response"], row["headers"], row["status"]) == (None, None, 201)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(update(idempotency_keys).values(response=b"svf_secret"))


def test_after_a_day_the_key_is_new_again_for_any_body(engine: Engine) -> None:
    begin(engine)
    finish(engine)
    assert begin(engine, body="other", now=NOW + LIFE) == Begun(NOW + LIFE)
    assert begin(engine, body="other", now=NOW + LIFE) == InFlight()


def test_a_call_whose_server_died_is_taken_over_after_its_lease(engine: Engine) -> None:
    begin(engine)
    assert begin(engine, now=NOW + LEASE - TICK) == InFlight()
    assert begin(engine, now=NOW + LEASE) == Begun(NOW + LEASE)
    assert begin(engine, now=NOW + LEASE) == InFlight()


def test_who_was_only_slow_touches_nothing_of_who_took_over(engine: Engine) -> None:
    slow = begin(engine)
    quick = begin(engine, now=NOW + LEASE)
    with writing(engine) as connection:
        assert not idempotency.abandon(connection, *CALL, begun=slow)
    assert not finish(engine, body=b"slow", begun=slow)
    assert finish(engine, body=b"quick", begun=quick)
    assert begin(engine, now=NOW + LEASE) == Replay(201, JSON, b"quick")


def test_a_failed_call_can_be_made_again_and_an_answered_one_cannot(engine: Engine) -> None:
    with writing(engine) as connection:
        assert not idempotency.abandon(connection, *CALL)
        assert not idempotency.finish(connection, *CALL, 201, JSON, b"")
    begin(engine)
    with writing(engine) as connection:
        assert idempotency.abandon(connection, *CALL)
    assert begin(engine) == Begun(NOW)
    finish(engine)
    with writing(engine) as connection:
        assert not idempotency.abandon(connection, *CALL)
    assert isinstance(begin(engine), Replay)


def test_what_fails_in_the_same_transaction_leaves_no_record(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        assert idempotency.begin(connection, *CALL, "hash", NOW) == Begun(NOW)
        transaction.rollback()
    assert begin(engine) == Begun(NOW)


def test_purging_leaves_what_is_younger(engine: Engine) -> None:
    begin(engine)
    younger = (*CALL[:3], "younger")
    begin(engine, now=NOW + LIFE, call=younger)
    with writing(engine) as connection:
        assert idempotency.purge(connection, NOW + LIFE) == 1
        assert idempotency.purge(connection, NOW + LIFE) == 0
    assert begin(engine, now=NOW + LIFE, call=younger) == InFlight()


@pytest.mark.parametrize("odd", ["/" + "\N{GRINNING FACE}" * 3000, "/a\0b", "/\udcff", "/a\nb"])
def test_parts_that_no_index_could_hold_are_still_told_apart(engine: Engine, odd: str) -> None:
    call = (*CALL[:2], odd, "\N{GRINNING FACE}" * 200)
    assert begin(engine, call=call) == Begun(NOW)
    assert begin(engine, call=call) == InFlight()
    assert begin(engine, call=(*CALL[:2], odd + "x", call[3])) == Begun(NOW)


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


@pytest.mark.parametrize("earlier", ["none", "outlived", "dead"])
def test_of_many_that_begin_at_once_one_does(
    engine: Engine, warehouse_url: str, earlier: str
) -> None:
    if earlier != "none":
        begin(engine, now=NOW - LIFE if earlier == "outlived" else NOW - LEASE)

    found = at_once(warehouse_url, 8, lambda own, number: begin(own, now=NOW + number * TICK))

    assert sum(isinstance(one, Begun) for one in found) == 1
    assert found.count(InFlight()) == 7


def test_in_one_transaction_the_others_wait_for_the_answer(
    engine: Engine, warehouse_url: str
) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE made (number INTEGER)"))

    def call(own: Engine, number: int) -> Any:
        with writing(own) as connection:
            begun = idempotency.begin(connection, *CALL, "hash", NOW)
            if isinstance(begun, Begun):
                connection.execute(text("INSERT INTO made VALUES (:number)"), {"number": number})
                idempotency.finish(connection, *CALL, 201, JSON, str(number).encode())
            return begun

    found = at_once(warehouse_url, 8, call)

    with reading(engine) as connection:
        [made] = connection.execute(text("SELECT number FROM made")).scalars()
    assert found[made] == Begun(NOW)
    assert found.count(Replay(201, JSON, str(made).encode())) == 7


def test_where_the_first_fails_one_of_those_who_waited_begins(
    engine: Engine, warehouse_url: str
) -> None:
    failed = threading.Event()

    def call(own: Engine, _: int) -> Any:
        with writing(own) as connection:
            begun = idempotency.begin(connection, *CALL, "hash", NOW)
            if isinstance(begun, Begun) and not failed.is_set():
                failed.set()
                raise ZeroDivisionError
            if isinstance(begun, Begun):
                idempotency.finish(connection, *CALL, 201, JSON, b"second")
            return begun

    found = at_once(warehouse_url, 6, call)

    assert sum(isinstance(one, ZeroDivisionError) for one in found) == 1
    assert found.count(Begun(NOW)) == 1
    assert found.count(Replay(201, JSON, b"second")) == 4


@pytest.mark.postgres
def test_a_record_that_goes_while_it_is_looked_at_lets_the_call_begin(postgres_url: str) -> None:
    engine, other = connect(postgres_url), connect(postgres_url)
    migrate(engine, [])
    begin(engine)

    @event.listens_for(engine, "before_cursor_execute")
    def _abandoned(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            with writing(other) as connection:
                idempotency.abandon(connection, *CALL)

    assert begin(engine) == Begun(NOW)
    for one in (engine, other):
        one.dispose()
