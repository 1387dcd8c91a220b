"""``sevenfold webhooks``: secrets shown once, changes in the log, refusals in one sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.lifecycle.workspace import Workspace
from tests.orchestration.command_home import ME, logged, on_home, told
from tests.orchestration.conftest import Runs
from warehouse.database import reading, writing
from warehouse.repositories import deliveries, webhooks
from warehouse.sealing import Seal

URL = "https://93.184.215.14/hook"
CREATE = ("webhooks", "create", URL, "--owner", "ann", "--event", "job.completed")


__all__ = ["on_home"]


@pytest.fixture(autouse=True)
def nothing_inside_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEVENFOLD_WEBHOOK_ALLOWED_NETWORKS", raising=False)


def test_a_new_secret_is_all_that_standard_output_holds_and_it_signs(on_home: Runs) -> None:
    status, out, error = on_home(*CREATE, "--event", "model.promoted")

    assert status == 0
    workspace = Workspace.current()
    with reading(workspace.engine) as connection:
        [made] = webhooks.page(connection, 10)
    opened = webhooks.signing(made, Seal.of(workspace.settings), datetime.now(UTC))
    assert out == f"{opened[0]}\n"
    assert opened[0] not in error
    assert made.id in error
    assert (made.owner, made.url, made.created_by) == ("ann", URL, ME)
    assert made.events == ["job.completed", "model.promoted"]
    assert [entry[:3] for entry in logged()] == [(ME, "webhook.create", made.id)]


def test_webhooks_are_listed_without_secrets(on_home: Runs) -> None:
    ann = told(on_home, *CREATE)
    bob = told(on_home, *CREATE[:4], "[/bob]", *CREATE[5:])

    assert [one["id"] for one in told(on_home, "webhooks", "list")] == [bob["id"], ann["id"]]
    assert [one["id"] for one in told(on_home, "webhooks", "list", "--owner", "ann")] == [ann["id"]]
    table = on_home("webhooks", "list")[1]
    assert "[/bob]" in table
    for secret in (ann["secret"], bob["secret"]):
        assert secret not in table + json.dumps(told(on_home, "webhooks", "list"))


def test_lists_without_anything_say_what_to_do(on_home: Runs) -> None:
    assert told(on_home, "webhooks", "list") == []
    assert "sevenfold webhooks create URL" in on_home("webhooks", "list")[2]
    made = told(on_home, *CREATE)
    assert "Nothing was sent yet" in on_home("webhooks", "deliveries", made["id"])[2]


def test_a_test_event_is_queued_and_replayed(on_home: Runs) -> None:
    made = told(on_home, *CREATE)
    status, out, _ = on_home("webhooks", "test", made["id"])
    assert status == 0
    delivery_id = out.strip()
    [waiting] = told(on_home, "webhooks", "deliveries", made["id"])
    assert (waiting["id"], waiting["event"], waiting["state"]) == (
        delivery_id,
        "webhook.test",
        "waiting",
    )
    now = datetime.now(UTC)
    with writing(Workspace.current().engine) as connection:
        [(claimed, _)] = deliveries.claim(connection, now, timedelta(minutes=1), 1)
        attempt = deliveries.Attempt(now, 500, 3, "answered 500")
        deliveries.conclude(connection, claimed, attempt, "failed")
    assert "answered 500" in on_home("webhooks", "deliveries", made["id"])[1]
    again = told(on_home, "webhooks", "replay", delivery_id)
    assert (again["id"], again["state"], again["tried"]) == (delivery_id, "waiting", 1)
    assert [action for _, action, _, _ in reversed(logged())] == [
        *("webhook.create", "webhook.test", "webhook.replay")
    ]


def test_a_rotated_secret_and_the_former_one_both_sign_in_between(on_home: Runs) -> None:
    made = told(on_home, *CREATE)
    status, out, error = on_home("webhooks", "rotate", made["id"], "--grace-hours", "2")
    assert status == 0
    assert "The former secret signs too until" in error
    workspace = Workspace.current()
    with reading(workspace.engine) as connection:
        rotated = webhooks.get(connection, made["id"])
    signing = webhooks.signing(rotated, Seal.of(workspace.settings), datetime.now(UTC))
    assert signing == [out.strip(), made["secret"]]


def test_a_disabled_webhook_is_enabled_again(on_home: Runs) -> None:
    made = told(on_home, *CREATE)
    assert told(on_home, "webhooks", "enable", made["id"])["changed"] is False
    with writing(Workspace.current().engine) as connection:
        webhooks.disable(connection, made["id"], "it answered 410 Gone", datetime.now(UTC))
    status, _, error = on_home("webhooks", "test", made["id"])
    assert status == 1
    assert "is disabled (it answered 410 Gone)" in error
    assert "410 Gone" in on_home("webhooks", "list")[1]
    assert told(on_home, "webhooks", "enable", made["id"])["changed"] is True
    assert on_home("webhooks", "test", made["id"])[0] == 0


def test_a_webhook_is_taken_away(on_home: Runs) -> None:
    made = told(on_home, *CREATE)
    assert told(on_home, "webhooks", "delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert told(on_home, "webhooks", "list") == []
    assert logged()[0][:3] == (ME, "webhook.delete", made["id"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "https://127.0.0.1/", *CREATE[3:]), "127.0.0.1 stands for a loopback address"),
        (("create", "https://localhost/", *CREATE[3:]), "localhost stands for a loopback address"),
        (("create", "http://93.184.215.14/", *CREATE[3:]), "expected https://"),
        (("create", "https://nobody.invalid/", *CREATE[3:]), "does not resolve"),
        (("create", URL, "--owner", "ann", "--event", "job.done"), "there is no event 'job.done'"),
        (("rotate", "wh_1"), "there is no webhook 'wh_1'"),
        (("test", "wh_1"), "there is no webhook 'wh_1'"),
        (("enable", "wh_1"), "there is no webhook 'wh_1'"),
        (("delete", "wh_1"), "there is no webhook 'wh_1'"),
        (("deliveries", "wh_1"), "there is no webhook 'wh_1'"),
        (("replay", "msg_1"), "there is no delivery 'msg_1'"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_no_trace(
    on_home: Runs, words: tuple[str, ...], message: str
) -> None:
    status, out, error = on_home("webhooks", *words)
    assert (status, out) == (1, "")
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert logged() == []


def test_a_damaged_key_of_the_home_is_said_and_the_doctor_says_it_too(
    on_home: Runs, tmp_path: Path
) -> None:
    made = told(on_home, *CREATE)
    key = tmp_path / "home" / "secret.key"
    key.write_text("nonsense", encoding="utf-8")
    status, _, error = on_home(*CREATE)
    assert status == 1
    assert "secret.key holds no key" in error
    status, out, _ = on_home("doctor", "--json")
    assert status == 1
    [finding] = [one for one in json.loads(out) if one["what"] == f"secret of {made['id']}"]
    assert finding["state"] == "broken"
    key.unlink()  # the home makes another, which opens nothing of before
    status, out, _ = on_home("doctor", "--json")
    [finding] = [one for one in json.loads(out) if one["what"] == f"secret of {made['id']}"]
    assert "sealed under another key" in finding["detail"]
    assert on_home("webhooks", "rotate", made["id"])[0] == 0


def test_a_bad_key_in_the_settings_is_refused_without_showing_it(
    on_home: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVENFOLD_SECRET_KEY", "hunter2")
    for words in (CREATE, ("config",)):
        status, out, error = on_home(*words)
        assert status == 1
        assert "SEVENFOLD_SECRET_KEY: key 1 is not 32 bytes in base64" in error
        assert "hunter2" not in out + error
