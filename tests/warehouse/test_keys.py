"""API keys at rest: the secret is nowhere, revoking and rotating hold, and lists page in order."""

from __future__ import annotations

import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import IntegrityError

from warehouse.database import connect, reading, utc_now, writing
from warehouse.repositories import keys
from warehouse.repositories.keys import ApiKey, DeadKeyError, InvalidKeyError, UnknownKeyError
from warehouse.tables import api_keys

DAY = timedelta(days=1)


def make(engine: Engine, owner: str = "ann", **given: object) -> tuple[ApiKey, str]:
    given = {"name": "laptop", "role": "write", "tier": "standard", "created_by": "bob"} | given
    with writing(engine) as connection:
        return keys.create(connection, owner, **given)  # type: ignore[arg-type]


def stored(engine: Engine, key_id: str) -> ApiKey:
    with reading(engine) as connection:
        found = keys.get(connection, key_id)
    assert found is not None
    return found


def test_a_key_is_kept_without_its_secret(engine: Engine) -> None:
    key, shown = make(engine, expires_at=datetime(2030, 1, 1, tzinfo=UTC))
    parsed = keys.parse(shown)
    assert parsed is not None
    key_id, secret = parsed

    assert (key.id, len(key_id)) == (key_id, 12)
    assert len(secret) * 5.95 >= 128  # bits of a base 62 digit
    assert stored(engine, key_id) == key
    assert key.secret_hash == sha256(secret.encode()).hexdigest()
    assert secret not in repr(asdict(key))
    assert key.secret_hash not in repr(key)
    with reading(engine) as connection:
        row = connection.execute(select(api_keys)).one()
    assert secret not in repr(row)


def test_a_key_matches_its_own_secret_alone(engine: Engine) -> None:
    (one, mine), (_, other) = make(engine), make(engine)
    for shown, expected in ((mine, True), (other, False)):
        parsed = keys.parse(shown)
        assert parsed is not None
        assert keys.matches(one, parsed[1]) is expected
    assert not keys.matches(one, "")
    assert not keys.matches(one, one.secret_hash)


@given(st.text())
def test_what_no_key_looks_like_is_none_and_raises_nothing(given_text: str) -> None:
    assert keys.parse(given_text) is None


@pytest.mark.parametrize(
    "spoiled", ["{}\n", " {}", "{}_", "{}é", "SVF{}", "{}\0", "Bearer {}", "{}{}"]
)
def test_a_key_with_something_around_it_is_none(engine: Engine, spoiled: str) -> None:
    _, shown = make(engine)
    assert keys.parse(spoiled.replace("{}", shown)) is None


def test_a_text_loses_the_secrets_of_its_keys_and_keeps_their_ids(engine: Engine) -> None:
    key, shown = make(engine)
    assert keys.masked(f"with {shown}, then") == f"with svf_{key.id}_***, then"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"owner": ""}, "owner has 1 to 200 characters"),
        ({"name": "a\nb"}, "name has 1 to 200 characters and no control characters"),
        ({"tier": "t" * 201}, "tier has 1 to 200"),
        ({"owner": "\udcff"}, "owner has 1 to 200"),
        ({"role": "root"}, "role is one of read, write, admin, got 'root'"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_its_field(
    engine: Engine, wrong: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidKeyError, match=said):
        make(engine, **wrong)
    with reading(engine) as connection:
        assert keys.all_keys(connection, include_revoked=True) == []


def test_a_database_takes_no_other_role(engine: Engine) -> None:
    key, _ = make(engine)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(update(api_keys).where(api_keys.c.id == key.id).values(role="root"))


@pytest.mark.parametrize("key_id", ["nobody000000", "", "\0", "x' OR '1'='1", "\udcff", "é" * 12])
def test_an_id_that_no_key_has_is_unknown_and_the_way_to_the_ids_is_told(
    engine: Engine, key_id: str
) -> None:
    with writing(engine) as connection:
        assert keys.get(connection, key_id) is None
        with pytest.raises(UnknownKeyError, match="`sevenfold keys list --all`"):
            keys.revoke(connection, key_id, utc_now())
        with pytest.raises(UnknownKeyError, match="there is no key"):
            keys.rotate(connection, key_id, "bob", DAY)


def test_a_whole_key_given_for_its_id_is_not_repeated(engine: Engine) -> None:
    _, shown = make(engine)
    with pytest.raises(UnknownKeyError) as refused, writing(engine) as connection:
        keys.revoke(connection, shown, utc_now())
    assert shown not in str(refused.value)


def test_revoking_holds_from_its_first_instant(engine: Engine) -> None:
    key, _ = make(engine)
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with writing(engine) as connection:
        assert keys.revoke(connection, key.id, first)
        assert not keys.revoke(connection, key.id, first + DAY)
        assert keys.live(connection) == []
    assert stored(engine, key.id).revoked_at == first
    assert stored(engine, key.id).state(first) == "revoked"


def test_live_keys_are_neither_revoked_nor_expired(engine: Engine) -> None:
    now = utc_now()
    endless, _ = make(engine)
    lasting, _ = make(engine, expires_at=now + DAY)
    make(engine, expires_at=now)
    revoked, _ = make(engine)
    with writing(engine) as connection:
        keys.revoke(connection, revoked.id, now)
        assert {key.id for key in keys.live(connection, now)} == {endless.id, lasting.id}
        assert {key.id for key in keys.live(connection, now + DAY)} == {endless.id}


def test_both_keys_work_until_the_grace_of_the_old_one_ends(engine: Engine) -> None:
    old, _ = make(engine, role="admin", tier="gold")
    with writing(engine) as connection:
        new, shown = keys.rotate(connection, old.id, "carl", DAY)
        now = utc_now()
        assert {key.id for key in keys.live(connection, now)} == {old.id, new.id}
        assert [key.id for key in keys.live(connection, now + DAY)] == [new.id]
    assert (new.owner, new.name, new.role, new.tier) == ("ann", "laptop", "admin", "gold")
    assert (new.rotated_from, new.created_by, new.expires_at) == (old.id, "carl", None)
    parsed = keys.parse(shown)
    assert parsed is not None
    assert keys.matches(new, parsed[1])
    assert not keys.matches(old, parsed[1])


def test_without_grace_the_old_key_ends_at_once(engine: Engine) -> None:
    old, _ = make(engine)
    with writing(engine) as connection:
        new, _ = keys.rotate(connection, old.id, "bob", timedelta(0))
        assert [key.id for key in keys.live(connection)] == [new.id]


def test_a_grace_never_lengthens_a_key_and_a_limited_key_gets_a_limited_one(
    engine: Engine,
) -> None:
    old, _ = make(engine, expires_at=utc_now() + timedelta(hours=3))
    with writing(engine) as connection:
        new, _ = keys.rotate(connection, old.id, "bob", DAY)
        again, _ = keys.rotate(connection, new.id, "bob", timedelta(minutes=1))
        # The first rotation left the old key as it was; the second shortened the new one's life.
        other, _ = keys.rotate(connection, new.id, "bob", timedelta(minutes=1))
    assert stored(engine, old.id).expires_at == old.expires_at
    for key in (new, again, other):
        assert key.expires_at is not None
        assert old.expires_at is not None
        lifetime = key.expires_at - key.created_at
        assert abs(lifetime - (old.expires_at - old.created_at)) < timedelta(seconds=5)


def test_what_works_no_more_is_not_rotated(engine: Engine) -> None:
    expired, _ = make(engine, expires_at=utc_now())
    revoked, _ = make(engine)
    with writing(engine) as connection:
        keys.revoke(connection, revoked.id, utc_now())
        with pytest.raises(DeadKeyError, match="has expired and cannot be rotated: make a new"):
            keys.rotate(connection, expired.id, "bob", DAY)
        with pytest.raises(DeadKeyError, match="was revoked and cannot be rotated: make a new"):
            keys.rotate(connection, revoked.id, "bob", DAY)


def test_a_negative_grace_is_refused(engine: Engine) -> None:
    key, _ = make(engine)
    with pytest.raises(InvalidKeyError, match="negative"), writing(engine) as connection:
        keys.rotate(connection, key.id, "bob", -DAY)


def test_last_use_moves_forward_only_and_unknown_keys_are_passed_over(engine: Engine) -> None:
    (one, _), (two, _), (three, _) = make(engine), make(engine), make(engine)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with writing(engine) as connection:
        keys.touch(connection, {})
        keys.touch(connection, {one.id: noon, two.id: noon, "gone": noon})
        keys.touch(connection, {one.id: noon - DAY, two.id: noon + DAY})
    assert stored(engine, one.id).last_used_at == noon
    assert stored(engine, two.id).last_used_at == noon + DAY
    assert stored(engine, three.id).last_used_at is None


def test_instances_that_store_last_uses_at_once_do_not_deadlock(
    engine: Engine, warehouse_url: str
) -> None:
    ids = [make(engine)[0].id for _ in range(30)]
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    failures: list[Exception] = []

    def use(number: int) -> None:
        own = connect(warehouse_url)
        order = ids if number % 2 else ids[::-1]
        try:
            for step in range(10):
                with writing(own) as connection:
                    keys.touch(connection, dict.fromkeys(order, noon + step * DAY))
        except Exception as error:  # noqa: BLE001 - handed to the assertion below
            failures.append(error)
        own.dispose()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert {stored(engine, key_id).last_used_at for key_id in ids} == {noon + 9 * DAY}


def test_pages_hold_every_key_once_newest_first_even_those_of_one_instant(engine: Engine) -> None:
    made = [make(engine, owner=owner)[0].id for owner in ("ann", "eve", "ann", "ann", "ann")]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with writing(engine) as connection:
        for number, key_id in enumerate(made):  # three share an instant
            moved = update(api_keys).where(api_keys.c.id == key_id)
            connection.execute(moved.values(created_at=at + max(number - 2, 0) * DAY))
        keys.revoke(connection, made[3], at)

    def walk(limit: int, **given: object) -> list[str]:
        found: list[str] = []
        after = None
        with reading(engine) as connection:
            while rows := keys.page(connection, limit, after, **given):  # type: ignore[arg-type]
                found += [key.id for key in rows]
                after = (rows[-1].created_at, rows[-1].id)
        return found

    newest_first = [made[4], made[3], *sorted(made[:3], reverse=True)]
    with reading(engine) as connection:
        listed = [key.id for key in keys.all_keys(connection, include_revoked=True)]
        anns = [key.id for key in keys.all_keys(connection, owner="ann")]
    assert listed == newest_first
    assert anns == [one for one in newest_first if one not in (made[1], made[3])]
    for limit in (1, 2, 3, 9):
        assert walk(limit, include_revoked=True) == newest_first
        assert walk(limit, owner="ann") == anns


def test_the_marker_moves_with_every_change_but_not_with_use(engine: Engine) -> None:
    def marker() -> tuple[int, int]:
        with reading(engine) as connection:
            return keys.revision(connection)

    seen = [marker()]
    key, _ = make(engine)
    seen.append(marker())
    with writing(engine) as connection:
        keys.touch(connection, {key.id: utc_now()})
    assert marker() == seen[-1]
    with writing(engine) as connection:
        keys.rotate(connection, key.id, "bob", DAY)
    seen.append(marker())
    with writing(engine) as connection:
        keys.revoke(connection, key.id, utc_now())
    seen.append(marker())
    assert len(set(seen)) == 4


@pytest.mark.postgres
def test_analysts_see_no_keys_whatever_new_tables_are_given_to_them(postgres_url: str) -> None:
    from warehouse.evolve import ANALYST_ROLE
    from warehouse.scored import migrate

    engine = connect(postgres_url)
    migrate(engine, [])  # makes the role, which the whole server shares
    with engine.begin() as connection:
        for table in ("api_keys", "audit_log", "idempotency_keys", "alembic_version"):
            connection.execute(text(f"DROP TABLE {table} CASCADE"))
        tables = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        for table in tables.scalars().all():
            connection.execute(text(f"DROP TABLE {table} CASCADE"))
        for given_to in ("PUBLIC", ANALYST_ROLE):
            connection.execute(
                text(
                    "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
                    f" GRANT SELECT ON TABLES TO {given_to}"
                )
            )
    migrate(engine, [])

    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL ROLE {ANALYST_ROLE}"))
        connection.execute(text("SELECT * FROM promotions"))  # so the privileges do hold
        for table in ("api_keys", "audit_log", "idempotency_keys"):
            with pytest.raises(Exception, match="permission denied"), connection.begin_nested():
                connection.execute(text(f"SELECT * FROM {table}"))
    engine.dispose()
