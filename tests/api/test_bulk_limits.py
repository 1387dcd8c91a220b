"""How much of bulk uploads is taken, what becomes of those that fail, and one job a call."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from api import uploads
from api.main import create_app
from api.settings import ApiSettings
from ml.jobs.files import Incoming, job_files
from ml.lifecycle.workspace import Workspace
from ml.models import Registry
from tests.api.bulk import (
    CSV,
    FEW,
    LINES,
    ROUTE,
    ROWS,
    ann,
    begun,
    drafts,
    hundred,
    left,
    narrow,
    owned,
    run,
    wait_until,
)
from tests.api.conftest import KeyMaker, bearing, key_maker
from tests.api.test_decisions import problem
from tests.http_server import serving
from tests.models.eighth import EIGHTH
from warehouse.database import reading, writing
from warehouse.job_files import JobFiles
from warehouse.objects import StoreError
from warehouse.repositories import job_expiry
from warehouse.settings import WarehouseSettings

__all__ = ["ann", "narrow"]


@pytest.mark.parametrize("known", [True, False], ids=["announced", "streamed"])
def test_a_file_above_the_limit_is_refused_with_it_and_leaves_nothing(
    narrow: httpx.Client, workspace: Workspace, known: bool
) -> None:
    body = b"".join(hundred())
    answer = narrow.post(ROUTE, content=body if known else hundred(), headers=CSV)
    assert "300,000 bytes" in problem(answer, 413, "body_too_large")["detail"]
    assert (owned(narrow), drafts(workspace), left(workspace)) == ([], [], set())
    small = narrow.post(ROUTE, content=body[:299_999], headers=CSV)
    assert small.status_code == 202


def test_an_upload_that_breaks_off_leaves_nothing(ann: httpx.Client, workspace: Workspace) -> None:
    with begun(ann) as line:
        line.sendall(b"client_id\n" + b"c03\n" * 100_000)
        wait_until(lambda: sum(path.stat().st_size for path in drafts(workspace)) > 0)
    wait_until(lambda: drafts(workspace) == [])
    assert owned(ann) == []
    assert left(workspace) == set()


def test_an_upload_that_stalls_is_given_up(
    ann: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.2)
    with begun(ann) as line:
        line.sendall(b"client_id\n")
        assert line.recv(10_000).startswith(b"HTTP/1.1 408")
    assert drafts(workspace) == []


def test_who_may_not_have_another_job_hears_so_before_the_body(
    narrow: httpx.Client, workspace: Workspace
) -> None:
    for _ in range(FEW.api_owner_jobs):
        assert narrow.post(ROUTE, content=ROWS, headers=CSV).status_code == 202
    with begun(narrow, 1_000) as line:
        answer = line.recv(10_000).decode()
    assert answer.startswith("HTTP/1.1 429")
    assert '"code":"job_quota"' in answer
    refused = narrow.post(ROUTE, params={"all": "true"})
    assert "3 bulk jobs are under way" in problem(refused, 429, "job_quota")["detail"]
    assert refused.headers["retry-after"] == "30"
    ended = owned(narrow)[0]["id"]
    assert narrow.delete(f"/api/jobs/{ended}").json()["state"] == "cancelled"
    assert narrow.post(ROUTE, content=ROWS, headers=CSV).status_code == 202


def test_the_bytes_of_an_owner_are_counted_as_they_come_and_as_they_stay(
    narrow: httpx.Client, workspace: Workspace
) -> None:
    body = b"client_id\n" + b"c03\n" * 70_000
    for _ in range(3):
        job = narrow.post(ROUTE, content=body, headers=CSV).json()["id"]
        narrow.delete(f"/api/jobs/{job}")
    announced = narrow.post(ROUTE, content=body, headers=CSV)
    assert "840,030 bytes" in problem(announced, 409, "file_quota")["detail"]
    streamed = narrow.post(ROUTE, content=iter([body]), headers=CSV)
    problem(streamed, 409, "file_quota")
    assert (drafts(workspace), left(workspace), len(owned(narrow))) == ([], set(), 3)
    with writing(workspace.engine) as connection:
        job_expiry.expire(connection, [job])
    job_files(workspace).remove(job)
    assert narrow.post(ROUTE, content=body, headers=CSV).status_code == 202


def test_no_more_come_in_at_once_than_may_and_half_of_them_of_one_owner(
    narrow: httpx.Client, workspace: Workspace, make_key: KeyMaker
) -> None:
    with begun(narrow, 1_000) as first, begun(narrow, 1_000) as second:
        for line in (first, second):
            line.sendall(b"client_id\n")
        wait_until(lambda: len(drafts(workspace)) == FEW.api_uploads // 2)
        third = narrow.post(ROUTE, content=ROWS, headers=CSV)
        assert "2 of them yours" in problem(third, 503, "busy")["detail"]
        assert third.headers["retry-after"] == "5"
        assert narrow.get("/api/jobs").status_code == 200
        other = {**CSV, **bearing(make_key("write", owner="somebody else"))}
        assert narrow.post(ROUTE, content=ROWS, headers=other).status_code == 202
    wait_until(lambda: drafts(workspace) == [])
    assert narrow.post(ROUTE, content=ROWS, headers=CSV).status_code == 202


def test_a_disk_that_is_slow_for_one_upload_stops_no_other_call(
    ann: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, go_on, real = threading.Event(), threading.Event(), Incoming.write

    def write(self: Incoming, data: bytes) -> None:
        if b"slow" in data:
            held.set()
            assert go_on.wait(30)
        real(self, data)

    monkeypatch.setattr(Incoming, "write", write)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ann.post, ROUTE, content=b"client_id\nslow\n", headers=CSV)
        assert held.wait(30)
        assert ann.get("/api/models").status_code == 200
        assert ann.post(ROUTE, content=ROWS, headers=CSV).status_code == 202
        assert not slow.done()
        go_on.set()
        assert slow.result().status_code == 202


@pytest.mark.parametrize("method", ["draft", "keep"])
def test_a_store_that_takes_no_file_says_so_and_nothing_is_left(
    ann: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fails(*_: object) -> None:
        raise StoreError("s3://bucket/secret-name: no") if method == "keep" else OSError(28, "full")

    monkeypatch.setattr(JobFiles, method, fails)
    answer = ann.post(ROUTE, content=ROWS, headers=CSV)
    assert "secret-name" not in answer.text
    problem(answer, 503, "store_unreachable")
    assert (owned(ann), drafts(workspace), left(workspace)) == ([], [], set())


def test_a_job_that_cannot_be_written_down_leaves_no_file(
    ann: httpx.Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OperationalError("INSERT …", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr("warehouse.repositories.jobs.create", fails)
    problem(ann.post(ROUTE, content=ROWS, headers=CSV), 503, "warehouse_busy")
    assert (drafts(workspace), left(workspace)) == ([], set())


def test_a_repeated_call_gets_the_first_answer_and_makes_nothing(
    ann: httpx.Client, workspace: Workspace
) -> None:
    headers = {**CSV, "Idempotency-Key": "one"}
    first = ann.post(ROUTE, content=ROWS, headers=headers)
    again = ann.post(ROUTE, content=ROWS, headers=headers)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    for other in (
        {"content": ROWS + b"c04,\n"},
        {"content": ROWS, "params": {"reasons": "true"}},
        {"content": LINES, "params": {"format": "ndjson"}},
        {"params": {"all": "true"}},
    ):
        problem(ann.post(ROUTE, headers=headers, **other), 422, "idempotency_mismatch")
    assert len(owned(ann)) == 1
    assert left(workspace) == set()


def test_a_form_sent_again_is_the_same_file_whatever_its_boundary(ann: httpx.Client) -> None:
    made = {
        ann.post(
            ROUTE, files={"file": ("a.csv", ROWS)}, headers={"Idempotency-Key": "form"}
        ).json()["id"]
        for _ in range(3)
    }
    assert len(made) == 1


def test_a_call_that_was_answered_is_answered_again_whatever_its_owner_holds_now(
    narrow: httpx.Client,
) -> None:
    headers = {**CSV, "Idempotency-Key": "one"}
    first = narrow.post(ROUTE, content=ROWS, headers=headers)
    for _ in range(2):
        assert narrow.post(ROUTE, content=ROWS, headers=CSV).status_code == 202
    problem(narrow.post(ROUTE, content=ROWS, headers=CSV), 429, "job_quota")
    assert narrow.post(ROUTE, content=ROWS, headers=headers).json() == first.json()


@pytest.fixture
def bare(warehouse_url: str, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on each database in which nothing was ever scored."""
    settings = WarehouseSettings(home=tmp_path, warehouse_url=warehouse_url)
    opened = Workspace.open(settings, registry=Registry([EIGHTH]))
    yield opened
    opened.engine.dispose()


@pytest.mark.parametrize("again", [True, False], ids=["the same", "different"])
def test_of_fifty_calls_at_once_those_alike_make_one_job_and_no_more_are_made_than_may(
    bare: Workspace, again: bool
) -> None:
    settings = ApiSettings(api_ip_limit="unlimited", api_owner_jobs=7)
    key = key_maker(bare)("write", owner="ann")
    with (
        serving(create_app(bare, settings)) as client,
        ThreadPoolExecutor(50) as pool,
    ):
        client.headers.update(bearing(key))

        def post(number: int) -> httpx.Response:
            name = "once" if again else f"call {number}"
            return client.post(ROUTE, content=ROWS, headers={**CSV, "Idempotency-Key": name})

        answers = list(pool.map(post, range(50)))
        made = {answer.json()["id"] for answer in answers if answer.status_code == 202}
        others = {answer.status_code for answer in answers} - {202}
        assert len(owned(client)) == len(made) == (1 if again else 7)
    assert others <= ({409} if again else {429})
    assert job_files(bare).jobs().keys() == made
    assert drafts(bare) == []


def test_a_job_over_all_that_a_model_knows_lists_it_once_in_order(
    ann: httpx.Client, workspace: Workspace
) -> None:
    answer = ann.post(ROUTE, params={"all": "true"}, headers={"Idempotency-Key": "all"})
    assert answer.status_code == 202, answer.text
    again = ann.post(ROUTE, params={"all": "true"}, headers={"Idempotency-Key": "all"})
    assert again.json() == answer.json()
    job_id = answer.json()["id"]
    with reading(workspace.engine) as connection:
        query = "SELECT entity FROM online_features WHERE model = 'repeat_orders' ORDER BY entity"
        known = list(connection.exec_driver_sql(query).scalars())
    ended = run(workspace, job_id)
    assert (ended.state, ended.rows_ok, ended.rows_error) == ("completed", len(known), 0)
    text = ann.get(f"/api/jobs/{job_id}/results", params={"format": "ndjson"}).text
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["line"], row["buyer_id"]) for row in rows] == list(enumerate(known, start=1))


def test_a_model_that_is_not_asked_by_name_has_no_job_over_all(ann: httpx.Client) -> None:
    for model in ("revenue-leak", "budget", "anomaly"):
        answer = ann.post(f"/api/{model}/bulk", params={"all": "true"})
        assert "a name alone" in problem(answer, 422, "invalid_request")["detail"]
    problem(ann.post("/api/churn/bulk", params={"all": "true"}), 409, "not_scored")
