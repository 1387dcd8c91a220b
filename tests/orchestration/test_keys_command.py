"""``sevenfold keys``: a key is shown once, every change is in the log, refusals are sentences."""

from __future__ import annotations

import getpass
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.lifecycle.workspace import Workspace
from tests.orchestration.command_home import ME, logged, on_home
from tests.orchestration.conftest import Runs
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import keys

__all__ = ["on_home"]


def made(run: Runs, *words: str) -> dict[str, Any]:
    status, out, error = run(*words, "--json")
    assert status == 0, error
    found: dict[str, Any] = json.loads(out)
    return found


def listed(run: Runs, *words: str) -> list[dict[str, Any]]:
    status, out, _ = run("keys", "list", *words, "--json")
    assert status == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_a_new_key_is_all_that_standard_output_holds_and_it_opens(on_home: Runs) -> None:
    status, out, error = on_home("keys", "create", "--owner", "ann", "--role", "admin")

    assert status == 0
    parsed = keys.parse(out.removesuffix("\n"))
    assert parsed is not None
    with reading(Workspace.current().engine) as connection:
        [key] = keys.live(connection)
    assert key.id == parsed[0]
    assert keys.matches(key, parsed[1])
    assert (key.owner, key.name, key.role, key.tier) == ("ann", "key", "admin", "standard")
    assert (key.created_by, key.expires_at) == (ME, None)
    assert "not shown again" in error
    assert parsed[1] not in error
    assert logged() == [(ME, "key.create", key.id, {"owner": "ann", "role": "admin"})]


def test_a_key_takes_name_tier_and_an_end(on_home: Runs) -> None:
    key = made(
        on_home,
        *("keys", "create", "--owner", "ann", "--role", "read", "--name", "shop"),
        *("--tier", "gold", "--expires-days", "90"),
    )

    assert (key["name"], key["tier"], key["state"]) == ("shop", "gold", "active")
    ends = datetime.fromisoformat(key["expires_at"])
    assert abs(ends - utc_now() - timedelta(days=90)) < timedelta(minutes=5)


def test_lists_show_no_secret_and_revoked_keys_when_asked(on_home: Runs) -> None:
    keeps = made(on_home, "keys", "create", "--owner", "[/ann]", "--role", "read")
    goes = made(on_home, "keys", "create", "--owner", "eve", "--role", "write")
    on_home("keys", "revoke", goes["id"])

    assert [one["id"] for one in listed(on_home)] == [keeps["id"]]
    assert [(one["id"], one["state"]) for one in listed(on_home, "--all")] == [
        (goes["id"], "revoked"),
        (keeps["id"], "active"),
    ]
    _, table, _ = on_home("keys", "list", "--all")
    assert "[/ann]" in table
    shown = table + json.dumps(listed(on_home, "--all"))
    with reading(Workspace.current().engine) as connection:
        stored = keys.all_keys(connection, include_revoked=True)
    for key in (keeps, goes):
        assert key["key"].rpartition("_")[2] not in shown
    assert not any(one.secret_hash in shown for one in stored)


def test_a_list_without_keys_says_how_to_make_one(on_home: Runs) -> None:
    assert listed(on_home) == []
    assert "`sevenfold keys create --owner NAME --role admin`" in on_home("keys", "list")[2]


def test_an_expired_key_reads_expired(on_home: Runs) -> None:
    with writing(Workspace.current().engine) as connection:
        past = datetime(2020, 1, 1, tzinfo=UTC)
        keys.create(connection, "ann", "old", "read", "standard", ME, expires_at=past)
    assert [one["state"] for one in listed(on_home)] == ["expired"]


def test_revoking_again_is_said_and_not_logged_again(on_home: Runs) -> None:
    key = made(on_home, "keys", "create", "--owner", "ann", "--role", "read")

    assert made(on_home, "keys", "revoke", key["id"]) == {
        "id": key["id"],
        "revoked": True,
        "changed": True,
    }
    status, _, error = on_home("keys", "revoke", key["id"])
    assert (status, error.strip()) == (0, f"Key {key['id']} was revoked before.")
    assert [entry[1] for entry in logged()] == ["key.revoke", "key.create"]


def test_a_rotated_key_and_its_successor_both_work_in_between(on_home: Runs) -> None:
    old = made(on_home, "keys", "create", "--owner", "ann", "--role", "write")
    status, out, error = on_home("keys", "rotate", old["id"], "--grace-hours", "2")

    assert status == 0
    parsed = keys.parse(out.strip())
    assert parsed is not None
    assert f"Key {old['id']} works until" in error
    new, rotated = listed(on_home)
    assert (new["id"], new["rotated_from"], new["owner"]) == (parsed[0], old["id"], "ann")
    assert rotated["state"] == "active"
    left = datetime.fromisoformat(rotated["expires_at"]) - utc_now()
    assert abs(left - timedelta(hours=2)) < timedelta(minutes=5)
    assert logged()[0] == (ME, "key.rotate", old["id"], {"to": new["id"]})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("revoke", "nobody000000"), "there is no key 'nobody000000'"),
        (("rotate", "nobody000000"), "`sevenfold keys list --all`"),
        (("create", "--owner", "", "--role", "read"), "owner has 1 to 200 characters"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_no_trace(
    on_home: Runs, words: tuple[str, ...], said: str
) -> None:
    status, out, error = on_home("keys", *words)
    assert (status, out) == (1, "")
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert logged() == []


def test_a_revoked_key_is_not_rotated(on_home: Runs) -> None:
    key = made(on_home, "keys", "create", "--owner", "ann", "--role", "read")
    on_home("keys", "revoke", key["id"])
    status, _, error = on_home("keys", "rotate", key["id"])
    assert status == 1
    assert "was revoked and cannot be rotated: make a new one" in error


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--owner", "ann"),
        ("create", "--role", "read"),
        ("create", "--owner", "ann", "--role", "root"),
        ("create", "--owner", "ann", "--role", "read", "--expires-days", "0"),
        ("rotate", "nobody000000", "--grace-hours", "-1"),
        ("rotate", "nobody000000", "--grace-hours", "nan"),
    ],
)
def test_a_wrong_argument_ends_with_status_2(on_home: Runs, words: tuple[str, ...]) -> None:
    status, out, error = on_home("keys", *words)
    assert (status, out) == (2, "")
    assert "Traceback" not in error


@pytest.mark.parametrize("words", [("list",), ("create", "--owner", "ann", "--role", "read")])
def test_a_mistyped_home_is_refused_and_not_made(
    sevenfold: Runs, tmp_path: Path, words: tuple[str, ...]
) -> None:
    status, _, error = sevenfold("keys", *words)
    assert status == 1
    assert "There is no Sevenfold home" in error
    assert not (tmp_path / "home").exists()


def test_a_user_without_a_name_is_logged_by_number(
    on_home: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    key = made(on_home, "keys", "create", "--owner", "ann", "--role", "read")
    assert key["created_by"] == f"cli:{os.getuid()}"


def test_the_secret_is_in_no_log_line_and_no_file_of_the_home(
    on_home: Runs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        key = made(on_home, "keys", "create", "--owner", "ann", "--role", "read")
    secret = key["key"].rpartition("_")[2]
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert any(key["id"].encode() in path.read_bytes() for path in files)
    assert not any(secret.encode() in path.read_bytes() for path in files)
    assert secret not in caplog.text
