"""Keys over HTTP: made once, rotated without downtime, revoked at once; and who did what."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from ml.lifecycle.workspace import Workspace
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from warehouse.database import reading, utc_now
from warehouse.tables import api_keys, audit_log, idempotency_keys

PATH = "/api/admin/keys"


def works(client: httpx.Client, key: str) -> bool:
    return client.get("/api/models", headers=bearing(key)).status_code == 200


def test_a_key_is_shown_once_and_stored_nowhere(client: httpx.Client, workspace: Workspace) -> None:
    made = client.post(PATH, json={"owner": "app", "name": "nightly", "role": "read"})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()["key"]
    assert works(client, key)
    [shown] = [k for k in client.get(PATH).json()["items"] if k["id"] == made.json()["id"]]
    assert (shown["owner"], shown["role"], shown["tier"]) == ("app", "read", "standard")
    assert "key" not in shown
    secret = key.split("_")[2]
    with reading(workspace.engine) as connection:
        for table in (api_keys, audit_log, idempotency_keys):
            assert secret not in str(connection.execute(select(table)).all())


def test_rotation_leaves_both_keys_working_until_the_grace_ends(client: httpx.Client) -> None:
    old = client.post(PATH, json={"owner": "app", "role": "write"}).json()
    new = client.post(f"{PATH}/{old['id']}/rotate", json={"grace_hours": 1}).json()
    assert (new["owner"], new["role"], new["rotated_from"]) == ("app", "write", old["id"])
    assert works(client, old["key"])
    assert works(client, new["key"])
    at_once = client.post(f"{PATH}/{new['id']}/rotate", json={"grace_hours": 0}).json()
    assert not works(client, new["key"])
    assert works(client, at_once["key"])
    again = client.post(f"{PATH}/{new['id']}/rotate")
    problem(again, 409, "key_not_active")


def test_a_revoked_key_stops_at_once_and_stays_listed_on_demand(client: httpx.Client) -> None:
    made = client.post(PATH, json={"owner": "app", "role": "read"}).json()
    assert works(client, made["key"])
    for _ in range(2):
        assert client.delete(f"{PATH}/{made['id']}").status_code == 204
    assert not works(client, made["key"])
    listed = {key["id"] for key in client.get(PATH).json()["items"]}
    assert made["id"] not in listed
    everything = client.get(PATH, params={"include_revoked": "true"}).json()["items"]
    [revoked] = [key for key in everything if key["id"] == made["id"]]
    assert revoked["revoked_at"] is not None


def test_a_key_made_elsewhere_works_and_one_revoked_elsewhere_does_not(
    client: httpx.Client, make_key: KeyMaker, workspace: Workspace
) -> None:
    import time

    from warehouse.database import writing
    from warehouse.repositories import keys

    key = make_key("read")
    assert works(client, key)
    with writing(workspace.engine) as connection:
        keys.revoke(connection, key.split("_")[1], utc_now())
    deadline = time.monotonic() + 5
    while works(client, key):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("key_id", ["nobody", "caf%C3%A9", "%00", "x" * 300])
def test_a_key_that_is_not_there_is_404(client: httpx.Client, key_id: str) -> None:
    problem(client.delete(f"{PATH}/{key_id}"), 404, "unknown_key")
    problem(client.post(f"{PATH}/{key_id}/rotate"), 404, "unknown_key")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"owner": "app", "role": "king"}, "/role"),
        ({"owner": "", "role": "read"}, "/owner"),
        ({"owner": "a\nb", "role": "read"}, "/owner"),
        ({"role": "read"}, "/owner"),
        ({"owner": "app", "role": "read", "tier": "golden"}, "/tier"),
        ({"owner": "app", "role": "read", "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"owner": "app", "role": "read", "expires_at": "2199-01-01T00:00:00"}, "/expires_at"),
        ({"owner": "app", "role": "read", "secret": "mine"}, "/secret"),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused(
    client: httpx.Client, body: dict[str, str], pointer: str
) -> None:
    found = problem(client.post(PATH, json=body), 422, "invalid_request")
    assert pointer in [error["pointer"] for error in found["errors"]]


def test_a_repeated_call_makes_no_second_key(client: httpx.Client) -> None:
    body = {"owner": "once", "role": "read"}
    header = {"Idempotency-Key": "make-it-once"}
    assert client.post(PATH, json=body, headers=header).status_code == 201
    again = client.post(PATH, json=body, headers=header)
    problem(again, 409, "idempotency_secret")
    other = client.post(PATH, json={**body, "role": "write"}, headers=header)
    problem(other, 422, "idempotency_mismatch")
    assert len(client.get(PATH, params={"owner": "once"}).json()["items"]) == 1
    too_long = client.post(PATH, json=body, headers={"Idempotency-Key": "x" * 201})
    problem(too_long, 422, "invalid_request")


def test_keys_are_listed_page_by_page_newest_first(client: httpx.Client) -> None:
    for number in range(5):
        client.post(PATH, json={"owner": "many", "name": f"n{number}", "role": "read"})
    names, params = [], {"owner": "many", "limit": 2}
    while True:
        page = client.get(PATH, params=params).json()
        names += [key["name"] for key in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert names == ["n4", "n3", "n2", "n1", "n0"]
    for cursor in ("nonsense", "WyJ4IiwgInkiXQ", "WzFd"):
        bad = client.get(PATH, params={"cursor": cursor})
        assert problem(bad, 422, "invalid_request")["errors"][0]["pointer"] == "/cursor"


def test_every_change_of_a_key_is_in_the_audit_log(client: httpx.Client) -> None:
    made = client.post(PATH, json={"owner": "seen", "role": "read"})
    key_id = made.json()["id"]
    client.post(f"{PATH}/{key_id}/rotate")
    client.delete(f"{PATH}/{key_id}")
    client.delete(f"{PATH}/{key_id}")
    entries = client.get("/api/admin/audit").json()["items"]
    ours = [entry for entry in entries if entry["subject"] == key_id]
    assert [entry["action"] for entry in ours] == ["key.revoke", "key.rotate", "key.create"]
    assert ours[-1]["request_id"] == made.headers["x-request-id"]
    assert {entry["actor"] for entry in ours} == {"me"}
    first = client.get("/api/admin/audit", params={"limit": 1}).json()
    second = client.get("/api/admin/audit", params={"limit": 1, "cursor": first["next_cursor"]})
    assert int(second.json()["items"][0]["id"]) < int(first["items"][0]["id"])


def test_the_last_use_of_a_key_is_stored_in_the_background(
    workspace: Workspace, make_key: KeyMaker, client: httpx.Client
) -> None:
    import time

    key = make_key("read")
    before = utc_now()
    assert works(client, key)
    deadline = time.monotonic() + 15
    while True:
        items = client.get(PATH, params={"limit": 1000}).json()["items"]
        [shown] = [one for one in items if one["id"] == key.split("_")[1]]
        if shown["last_used_at"] is not None:
            break
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert shown["last_used_at"] >= (before - timedelta(seconds=1)).isoformat()[:19]
