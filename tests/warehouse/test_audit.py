"""The audit log: appended to, read newest first, and never the place where a secret lies."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, text

from warehouse.database import reading, utc_now, writing
from warehouse.repositories import audit, keys


def test_entries_read_back_newest_first_and_in_pages(engine: Engine) -> None:
    before = utc_now()
    with writing(engine) as connection:
        ids = [
            audit.append(connection, "ann", "key.revoke", f"key-{number}", {"why": ["lost", None]})
            for number in range(5)
        ]
        audit.append(connection, "cli:bob", "key.create", "k", {}, key_id="k1", request_id="r1")
    with reading(engine) as connection:
        last, *rest = audit.page(connection, 3)
        older = audit.page(connection, 10, before_id=rest[-1].id)

    assert (last.actor, last.key_id, last.request_id, last.details) == ("cli:bob", "k1", "r1", {})
    assert [one.id for one in (*rest, *older)] == ids[::-1]
    assert rest[0].details == {"why": ["lost", None]}
    assert (rest[0].key_id, rest[0].request_id) == (None, None)
    assert before <= last.at <= utc_now() < before + timedelta(minutes=5)


def test_an_entry_goes_with_the_change_it_tells_of(engine: Engine) -> None:
    class Crash(Exception):
        """What ends a transaction half way."""

    try:
        with writing(engine) as connection:
            audit.append(connection, "ann", "key.create", "k", {})
            raise Crash
    except Crash:
        pass
    with reading(engine) as connection:
        assert audit.page(connection, 10) == []


def test_secrets_are_masked_wherever_they_stand(engine: Engine) -> None:
    with writing(engine) as connection:
        key, shown = keys.create(connection, "ann", "n", "read", "standard", "bob")
        audit.append(
            connection,
            f"ann {shown}",
            "key.create",
            f"/keys/{shown}",
            {
                "text": shown,
                "deep": [{"Webhook_Secret": "whsec_1", "none": None}, (shown,)],
                shown: 1,
                "password": ["a", "b"],
                "authorization": None,
                "count": 3,
            },
        )
        [entry] = audit.page(connection, 1)
        row = connection.execute(text("SELECT * FROM audit_log")).one()

    masked = f"svf_{key.id}_***"
    assert entry.details == {
        "text": masked,
        "deep": [{"Webhook_Secret": "***", "none": None}, [masked]],
        masked: 1,
        "password": "***",
        "authorization": None,
        "count": 3,
    }
    assert (entry.actor, entry.subject) == (f"ann {masked}", f"/keys/{masked}")
    secret = shown.rpartition("_")[2]
    assert secret not in repr(row)
