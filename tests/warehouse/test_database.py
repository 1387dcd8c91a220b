"""Connections: who waits for whom, and that a reader cannot write."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError, StatementError

from warehouse.database import WarehouseUrlError, connect, parse_url, reading, writing
from warehouse.repositories import data_versions
from warehouse.repositories.data_versions import DataVersion, OtherSourceError
from warehouse.tables import firm

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "cannot live in memory"),
        ("sqlite:///:memory:", "cannot live in memory"),
        ("mysql://host/db", "cannot live in 'mysql'"),
        ("warehouse.db", "not a URL"),
    ],
)
def test_a_url_that_cannot_be_a_warehouse_is_refused(url: str, said: str) -> None:
    with pytest.raises(WarehouseUrlError, match=said):
        connect(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_postgresql_uses_psycopg_3(scheme: str) -> None:
    assert parse_url(f"{scheme}://me@db/firm").drivername == "postgresql+psycopg"


def test_sqlite_is_in_wal_mode_and_its_folder_is_made(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'new' / 'folder' / 'w.db'}")

    with reading(engine) as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 30_000
    engine.dispose()


def test_a_reader_cannot_write(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), reading(engine) as connection:
        connection.execute(insert(firm).values(id=1, source="s", created_at=NOON))


def test_a_connection_that_read_can_write_afterwards(engine: Engine) -> None:
    for _ in range(3):
        with reading(engine) as connection:
            connection.execute(select(firm)).all()
        with writing(engine) as connection:
            connection.execute(firm.delete())


def test_a_reader_sees_one_state_throughout_and_never_waits(engine: Engine) -> None:
    with reading(engine) as reader:
        assert data_versions.newest(reader) is None
        with writing(engine) as writer:
            data_versions.add(writer, snapshot("one"))
        assert data_versions.newest(reader) is None
    with reading(engine) as reader:
        assert data_versions.newest(reader) is not None


def test_writers_that_read_first_take_turns_instead_of_failing(engine: Engine) -> None:
    def add_several(thread: int) -> None:
        for number in range(10):
            with writing(engine) as connection:
                connection.execute(select(firm)).all()
                if engine.dialect.name == "postgresql":
                    connection.execute(text("LOCK TABLE data_versions IN EXCLUSIVE MODE"))
                data_versions.add(connection, snapshot(f"{thread}-{number}"))

    threads = [threading.Thread(target=add_several, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with reading(engine) as connection:
        assert len(data_versions.recent(connection, 100)) == 40


def test_an_error_leaves_everything_as_it_was(engine: Engine) -> None:
    def fail_midway() -> None:
        with writing(engine) as connection:
            data_versions.add(connection, snapshot("one"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()

    with reading(engine) as connection:
        assert data_versions.newest(connection) is None


def test_foreign_keys_bind(engine: Engine) -> None:
    with pytest.raises(DBAPIError), writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO promotions (model, version, action, reason, decided_by, decided_at)"
                " VALUES ('m', 'unknown', 'promote', 'r', 'me', '2025-01-01')"
            )
        )


def test_instants_come_back_in_utc_and_need_a_zone(engine: Engine) -> None:
    east = datetime(2025, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with writing(engine) as connection:
        connection.execute(insert(firm).values(id=1, source="s", created_at=east))
    with reading(engine) as connection:
        back = connection.execute(select(firm.c.created_at)).scalar_one()

    assert back == east
    assert back.utcoffset() == timedelta(0)
    with (
        pytest.raises(StatementError, match="needs a time zone"),
        writing(engine) as connection,
    ):
        connection.execute(insert(firm).values(id=1, source="s", created_at=datetime(2025, 1, 1)))


def test_the_newest_snapshot_is_the_last_recorded_even_if_the_clock_stepped_back(
    engine: Engine,
) -> None:
    with writing(engine) as connection:
        data_versions.add(connection, snapshot("first", NOON))
        data_versions.add(connection, snapshot("second", NOON - timedelta(hours=1)))
    with reading(engine) as connection:
        newest = data_versions.newest(connection)
        assert newest == snapshot("second", NOON - timedelta(hours=1))
        assert [one.snapshot for one in data_versions.recent(connection)] == ["second", "first"]
        assert data_versions.get(connection, "first") == snapshot("first", NOON)
        assert data_versions.get(connection, "third") is None


def test_a_home_belongs_to_one_source(engine: Engine) -> None:
    with writing(engine) as connection:
        data_versions.claim(connection, "sample", None, NOON)
        owner = data_versions.claim(connection, "sample", date(2024, 1, 1))
        kept = data_versions.claim(connection, "sample", date(2025, 1, 1))
        with pytest.raises(OtherSourceError, match=r"'sample', not of 'folder:/x'.*--home PATH"):
            data_versions.claim(connection, "folder:/x", None)

    assert owner.start_date == kept.start_date == date(2024, 1, 1)
    with reading(engine) as connection:
        assert data_versions.get_firm(connection) == owner


def test_two_firms_cannot_share_a_home(engine: Engine) -> None:
    with pytest.raises((DBAPIError, sqlite3.Error)), writing(engine) as connection:
        connection.execute(insert(firm).values(id=2, source="s", created_at=NOON))


def snapshot(name: str, at: datetime = NOON) -> DataVersion:
    return DataVersion(
        snapshot=name,
        created_at=at,
        source="sample",
        table_versions={"invoices": 3},
        row_counts={"invoices": 10},
        quarantined={},
        newest_event=date(2024, 12, 31),
    )
