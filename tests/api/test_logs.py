"""What the log says of calls: who, what, how long; never a secret, an id or a value of theirs."""

from __future__ import annotations

import json
import logging
import re
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy.exc import StatementError

from api.main import create_app
from api.settings import ApiSettings
from ml.lifecycle.workspace import Workspace
from ml.serving.trace import traced
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.http_server import serving

CLIENT = "zanzibar-7731"
NAME = "quetzalcoatl"
VALUE = "90817263.5"
SECRETS = (CLIENT, NAME, VALUE, "90817263")
BODY = {"client_id": CLIENT, "revenue_30d": float(VALUE)}


def calls_of_every_kind(client: httpx.Client) -> str:
    """Calls that work, that are refused and that break; the secret of a key made by one of them."""
    path, keys = "/api/repeat-orders", "/api/admin/keys"
    unknown = f"svf_{'a' * 12}_{CLIENT.replace('-', '')}{'x' * 20}"
    made = client.post(keys, json={"owner": NAME, "name": CLIENT, "role": "read"})
    answers = [
        (201, made),
        (200, client.post(path, json=BODY)),
        (200, client.get(f"{path}/latest", params={"buyer_id": CLIENT})),
        (200, client.get(keys, params={"owner": NAME})),
        (200, client.post(f"{path}/batch", json={"items": [BODY, {NAME: VALUE}]})),
        (404, client.get(f"{path}/latest/{CLIENT}")),
        (404, client.get("/api/predictions", params={"client_id": CLIENT})),
        (404, client.get(f"/{CLIENT}/{NAME}")),
        (404, client.get(f"{path}/models/{CLIENT}/info")),
        (404, client.delete(f"{keys}/{CLIENT}")),
        (405, client.put(f"{path}/latest/{CLIENT}")),
        (422, client.post(path, json={NAME: VALUE, "client_id": CLIENT})),
        (422, client.post(path, json={"client_id": CLIENT})),
        (422, client.post(path, content=f'{{"client_id": "{CLIENT}"')),
        (422, client.get(f"{path}/latest", params={NAME: VALUE})),
        (422, client.get(f"{path}/latest", params={"cursor": CLIENT})),
        (413, client.post(path, content=CLIENT * 100_000)),
        (401, client.get("/api/models", headers=bearing(unknown))),
        (401, client.get("/api/models", headers={"Authorization": "", "X-API-Key": CLIENT})),
        (200, client.get("/api/models", headers={"User-Agent": CLIENT, "Referer": NAME})),
        (200, client.get("/api/models", headers={"X-Request-ID": f"{{{CLIENT}}}"})),
    ]
    assert [answer.status_code for _, answer in answers] == [status for status, _ in answers]
    return str(made.json()["key"]).split("_")[2]


def broken(*_: Any, **__: Any) -> None:
    """As a statement breaks: what was asked is in the message, and in that of what it came of."""
    try:
        raise ValueError(f"cannot read {VALUE} of {CLIENT}")
    except ValueError as error:
        raise StatementError(NAME, f"SELECT '{CLIENT}'", {"entity": CLIENT}, error) from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_and_no_value_of_a_call_is_logged(
    workspace: Workspace,
    make_key: KeyMaker,
    form: Literal["json", "console"],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ApiSettings(api_ip_limit="unlimited", api_log_format=form)
    key = make_key()
    with serving(create_app(workspace, settings)) as client:
        client.headers.update(bearing(key))
        made = calls_of_every_kind(client)
        with monkeypatch.context() as patch:
            patch.setattr("api.predictor.Predictor.answer", broken)
            patch.setattr("warehouse.points.SqlitePoints.rows", broken)
            ids = [
                problem(answer, 500, "internal_error")["request_id"]
                for answer in (
                    client.post("/api/repeat-orders", json=BODY),
                    client.get(f"/api/repeat-orders/latest/{NAME}"),
                    client.get("/api/predictions", params={"client_id": CLIENT}),
                )
            ]
    said = capfd.readouterr().err
    for secret in (*SECRETS, made, key.split("_")[2]):
        assert secret not in said
    assert said.count("StatementError") >= 3
    assert said.count("ValueError") >= 3
    assert "test_logs.py" in said
    assert key.split("_")[1] in said
    for request_id in ids:
        assert len(re.findall(request_id, said)) == 2, "its line, and that of its error"
    if form == "json":
        lines = [json.loads(line) for line in said.splitlines()]
        requests = [line for line in lines if line["event"] == "request"]
        assert len(requests) == 24
        for line in requests:
            assert {"method", "route", "status", "ms", "key", "request_id", "timestamp"} <= set(
                line
            )


@pytest.mark.parametrize("as_json", [True, False])
def test_lines_of_libraries_hold_no_message_of_an_error(
    as_json: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    from api import logs

    logs.configure(as_json)
    try:
        broken()
    except StatementError:
        for name in logs.STANDARD:
            other = logging.getLogger(name)
            level = other.level
            other.setLevel(logging.INFO)
            other.exception("%s broke", name)
            other.setLevel(level)
    said = capfd.readouterr().err
    for name in logs.STANDARD:
        assert f"{name} broke" in said
    assert said.count("sqlalchemy.exc.StatementError") == len(logs.STANDARD)
    for secret in SECRETS:
        assert secret not in said


def test_a_trace_names_places_and_kinds_to_the_first_cause() -> None:
    with pytest.raises(StatementError) as raised:
        broken()
    said = traced(raised.value)
    outer, inner = said.split("\nbecause of\n")
    assert outer.endswith("sqlalchemy.exc.StatementError")
    assert inner.endswith("builtins.ValueError")
    assert "in broken" in outer
    assert CLIENT not in said
