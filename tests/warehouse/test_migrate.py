"""Migration: made from Decisions, repeated at every start, and never at the price of data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url

from ml.models.registry import default_registry
from warehouse import migrations
from warehouse.database import connect, reading, writing
from warehouse.evolve import ANALYST_ROLE, MigrationRefusedError
from warehouse.repositories import keys, value
from warehouse.scored import STAMP, field_rules, migrate, scored_table
from warehouse.webhook_tables import metadata

MakeSpec = Callable[..., Any]


def test_migrations_make_exactly_the_declared_tables(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_values_from_before_0002_keep_the_one_measured_last_on_a_day(bare_engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with writing(bare_engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO model_value"
                " (model, model_version, basis, amount, currency, assumptions, measured_at) VALUES"
                " ('churn', 'churn-1', 'live', 1, 'EUR', '{}', '2025-06-01 05:00:00'),"
                " ('churn', 'churn-1', 'live', 2, 'EUR', '{}', '2025-06-01 06:00:00'),"
                " ('churn', 'churn-1', 'live', 3, 'EUR', '{}', '2025-06-02 05:00:00')"
            )
        )
    migrate(bare_engine, [])
    with reading(bare_engine) as connection:
        kept = [(one.as_of, one.amount) for one in value.over_time(connection, "churn")]
    assert kept == [(date(2025, 6, 2), 3.0), (date(2025, 6, 1), 2.0)]


KEYS = {"api_keys", "audit_log", "idempotency_keys"}
JOBS = {"jobs", "job_chunks", "job_rows"}
SCHEDULES = {"schedules", "schedule_runs", "retrain_policies"}
WEBHOOKS = {"webhooks", "webhook_deliveries"}


@pytest.mark.parametrize(
    ("revision", "new"),
    [
        ("0002", KEYS | JOBS | SCHEDULES | WEBHOOKS),
        ("0003", JOBS | SCHEDULES | WEBHOOKS),
        ("0004", SCHEDULES | WEBHOOKS),
        ("0005", WEBHOOKS),
    ],
)
def test_migrations_go_and_come_back_and_leave_the_rest_alone(
    engine: Engine, revision: str, new: set[str]
) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with writing(engine) as connection:
        keys.create(connection, "ann", "laptop", "admin", "standard", "cli:ann")
        before = set(inspect(connection).get_table_names())
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        assert set(inspect(connection).get_table_names()) == before - new
    migrate(engine, [])
    with reading(engine) as connection:
        assert set(inspect(connection).get_table_names()) == before
        assert len(keys.all_keys(connection)) == (0 if "api_keys" in new else 1)


def test_every_model_gets_its_table_and_view_once(bare_engine: Engine) -> None:
    specs = list(default_registry().values())

    first = migrate(bare_engine, specs)
    second = migrate(bare_engine, specs)

    assert f"created {specs[0].name}_scores" in first.done
    assert f"created {specs[0].name}_latest" in first.done
    assert second.done == ()
    with reading(bare_engine) as connection:
        for spec in specs:
            assert connection.execute(text(f"SELECT * FROM {spec.name}_latest")).all() == []


def test_instances_that_start_at_once_migrate_one_after_the_other(
    warehouse_url: str, spec: Any
) -> None:
    engines = [connect(warehouse_url) for _ in range(4)]
    failures: list[Exception] = []

    def start(engine: Engine) -> None:
        try:
            migrate(engine, [spec])
        except Exception as error:  # noqa: BLE001 - handed to the assertion below
            failures.append(error)

    threads = [threading.Thread(target=start, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()

    assert failures == []


def test_a_row_has_the_key_then_the_stamp_then_the_decision(spec: Any) -> None:
    table = scored_table(spec)

    assert table.c.keys() == [
        *("as_of", "visit_id", "kind", "day"),
        *STAMP,
        *("seen_at", "chance", "tries", "urgent", "client_id", "reasons"),
    ]
    assert [column.name for column in table.c if not column.nullable] == [
        "as_of",
        "visit_id",
        "kind",
        "day",
    ]


def test_a_new_field_becomes_a_nullable_column_and_old_rows_stay(
    bare_engine: Engine, make_spec: MakeSpec
) -> None:
    migrate(bare_engine, [make_spec(weight=float)])
    store_parcel(bare_engine, "weight", 2.5)

    done = migrate(bare_engine, [make_spec(weight=float, fragile=bool, notes=list[str])]).done

    assert done == (
        "added parcel_scores.fragile",
        "added parcel_scores.notes",
        "renewed parcel_latest",
    )
    assert parcels(bare_engine) == [{"weight": 2.5, "fragile": None, "notes": None}]


def test_a_removed_field_keeps_its_column(bare_engine: Engine, make_spec: MakeSpec) -> None:
    migrate(bare_engine, [make_spec(weight=float)])
    store_parcel(bare_engine, "weight", 2.5)

    assert migrate(bare_engine, [make_spec(height=float)]).done == (
        "added parcel_scores.height",
        "renewed parcel_latest",
    )
    assert parcels(bare_engine) == [{"weight": 2.5, "height": None}]


@pytest.mark.parametrize(
    ("before", "after"),
    [(float, str), (str, float), (int, float), (bool, str), (date, datetime), (str, list[str])],
)
def test_a_changed_type_is_refused_with_what_to_do_and_nothing_changes(
    bare_engine: Engine, make_spec: MakeSpec, before: type, after: type
) -> None:
    migrate(bare_engine, [make_spec(size=before)])

    with pytest.raises(MigrationRefusedError) as refused:
        migrate(bare_engine, [make_spec(size=after, extra=float)])

    assert "parcel_scores: size is" in str(refused.value)
    assert "Give the field a new name" in str(refused.value)
    with reading(bare_engine) as connection:
        schema = "scores" if bare_engine.dialect.name == "postgresql" else None
        columns = inspect(connection).get_columns("parcel_scores", schema=schema)
    assert "extra" not in {column["name"] for column in columns}


def test_a_refusal_undoes_what_was_done_for_other_models(
    bare_engine: Engine, make_spec: MakeSpec, spec: Any
) -> None:
    migrate(bare_engine, [make_spec(size=float)])

    with pytest.raises(MigrationRefusedError):
        migrate(bare_engine, [spec, make_spec(size=str)])

    assert "created visit_scores" in migrate(bare_engine, [spec]).done


def test_a_changed_key_is_refused(bare_engine: Engine, make_spec: MakeSpec) -> None:
    migrate(bare_engine, [make_spec(depot=str)])

    with pytest.raises(MigrationRefusedError, match=r"its key is \(as_of, parcel_id\) in the data"):
        migrate(bare_engine, [make_spec(entity=("parcel_id", "depot"), depot=str)])


def test_the_way_out_of_a_refusal_works(bare_engine: Engine, make_spec: MakeSpec) -> None:
    migrate(bare_engine, [make_spec(size=float, client_id=str)])
    store_parcel(bare_engine, "size", 2.5)
    with pytest.raises(MigrationRefusedError) as refused:
        migrate(bare_engine, [make_spec(size=str, client_id=str)])
    with writing(bare_engine) as connection:
        for statement in str(refused.value).splitlines()[1:]:
            connection.execute(text(statement))

    migrate(bare_engine, [make_spec(size=str, client_id=str)])

    with reading(bare_engine) as connection:
        old = connection.execute(text("SELECT size FROM parcel_scores_old")).scalar_one()
        assert connection.execute(text("SELECT size FROM parcel_scores")).all() == []
        assert connection.execute(text("SELECT size FROM parcel_latest")).all() == []
    assert old == 2.5


@pytest.mark.parametrize("kind", [bytes, float | str, complex, dict[str, int] | list[int]])
def test_a_field_that_no_column_can_hold_is_refused_by_name(
    make_spec: MakeSpec, kind: type
) -> None:
    with pytest.raises(TypeError, match=r"Parcel\.size has the type"):
        field_rules(make_spec(size=kind).Decision)


@pytest.mark.parametrize("name", ["as_of", "run_id"])
def test_a_decision_may_not_take_the_names_of_the_common_columns(
    make_spec: MakeSpec, name: str
) -> None:
    with pytest.raises(ValueError, match=f"may not have the columns .*{name}"):
        scored_table(make_spec(**{name: str}))


@pytest.mark.postgres
def test_analysts_read_scores_and_nothing_else(postgres_url: str, spec: Any) -> None:
    engine = connect(postgres_url)
    assert migrate(engine, [spec]).notes == ()

    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL ROLE {ANALYST_ROLE}"))
        assert connection.execute(text("SELECT * FROM visit_scores")).all() == []
        assert connection.execute(text("SELECT * FROM visit_latest")).all() == []
        for refused in ("SELECT * FROM promotions", "DELETE FROM visit_scores"):
            with pytest.raises(Exception, match="permission denied"), connection.begin_nested():
                connection.execute(text(refused))
    engine.dispose()


@pytest.fixture
def no_analyst(postgres_server: str) -> Iterator[None]:
    """A server without the analysts' role, which databases of other tests may hold on to."""
    engine = connect(postgres_server)
    named = text("SELECT count(*) FROM pg_roles WHERE rolname = :name")
    with engine.begin() as connection:
        there = connection.execute(named, {"name": ANALYST_ROLE}).scalar()
        if there:
            connection.execute(text(f"ALTER ROLE {ANALYST_ROLE} RENAME TO set_aside"))
    yield
    if there:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER ROLE set_aside RENAME TO {ANALYST_ROLE}"))
    engine.dispose()


@pytest.mark.postgres
def test_who_may_not_create_roles_is_told_what_an_administrator_should_run(
    postgres_url: str, spec: Any, no_analyst: None
) -> None:
    admin = connect(postgres_url)
    with admin.begin() as connection:
        connection.execute(text("CREATE ROLE plain_user LOGIN"))
        database = make_url(postgres_url).database
        connection.execute(text(f"GRANT ALL ON DATABASE {database} TO plain_user"))
        connection.execute(text("GRANT ALL ON SCHEMA public TO plain_user"))
    plain = connect(postgres_url.replace("//postgres:@", "//plain_user:@"))

    notes = migrate(plain, [spec]).notes

    assert len(notes) == 1
    assert f"CREATE ROLE {ANALYST_ROLE} NOLOGIN" in notes[0]
    plain.dispose()
    with admin.begin() as connection:
        connection.execute(text("DROP OWNED BY plain_user CASCADE"))
        connection.execute(text("DROP ROLE plain_user"))
    admin.dispose()


def store_parcel(engine: Engine, column: str, value: float) -> None:
    with writing(engine) as connection:
        connection.execute(
            text(
                f"INSERT INTO {'scores.' if engine.dialect.name == 'postgresql' else ''}"
                f"parcel_scores (as_of, parcel_id, {column}) VALUES ('2025-01-01', 'p', :value)"
            ),
            {"value": value},
        )
        connection.execute(
            text(
                "INSERT INTO score_days (model, as_of, model_version, data_version, run_id,"
                " origin, rows, scored_at) VALUES"
                " ('parcel', '2025-01-01', 'v', 'd', 'r', 'live', 1, '2025-01-02')"
            )
        )


def parcels(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT * FROM parcel_latest")).mappings().all()
    common = {"as_of", "parcel_id", *STAMP}
    return [{name: row[name] for name in row if name not in common} for row in rows]
