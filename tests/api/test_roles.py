"""Who may call what: every endpoint for each role, and for keys that open nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.call import ROLES
from ml.models import default_registry
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.models.eighth import EIGHTH
from warehouse.database import utc_now

PAGE = Path(__file__).parents[2] / "docs" / "api" / "endpoints.md"
MODELS = [spec.route for spec in (*default_registry().values(), EIGHTH)]
BARE = {"Authorization": ""}
ENDPOINTS = [
    tuple(cell.strip() for cell in line.split("|")[1:4])
    for line in PAGE.read_text(encoding="utf-8").split("## Not built yet")[0].splitlines()
    if line.startswith("| ") and "/" in line
]
"""Method, path and role of each built endpoint, as documented."""


def spelled_out(path: str) -> list[str]:
    """A documented path for each model; one that takes any model's name stays as it is."""
    if "{model}" in path and not path.startswith(("/api/models/", "/api/admin/")):
        return [path.replace("{model}", model) for model in MODELS]
    return [path]


def test_the_page_of_endpoints_is_what_openapi_says(client: httpx.Client) -> None:
    documented = {
        (method, path): role
        for method, template, role in ENDPOINTS
        for path in spelled_out(template)
    }
    said = {
        (method.upper(), path): operation["x-role"].replace("public", "–")
        for path, item in client.get("/openapi.json").json()["paths"].items()
        for method, operation in item.items()
    }
    assert said == documented


def test_what_is_not_built_yet_is_not_there(client: httpx.Client) -> None:
    later = PAGE.read_text(encoding="utf-8").split("## Not built yet")[1]
    rows = [line.split("|") for line in later.splitlines() if line.startswith("| ") and "/" in line]
    assert rows
    paths = client.get("/openapi.json").json()["paths"]
    for row in rows:
        for path in spelled_out(row[2].strip()):
            assert row[1].strip().lower() not in paths.get(path, {})


def called(client: httpx.Client, method: str, template: str, key: str | None) -> httpx.Response:
    """The endpoint called with harmless values: about things that are not there."""
    path = (
        template.replace("{model}", "repeat-orders")
        .replace("{version}", "champion")
        .replace("{entity}", "c03")
        .replace("{key_id}", "nobodys")
    )
    body: dict[str, Any] = {"json": {"colour": "red"}} if method == "POST" else {}
    headers = BARE if key is None else bearing(key)
    return client.request(method, path, headers=headers, **body)


@pytest.mark.parametrize(("method", "path", "role"), ENDPOINTS)
def test_each_endpoint_is_open_to_its_role_and_above_alone(
    client: httpx.Client, make_key: KeyMaker, method: str, path: str, role: str
) -> None:
    keys = {name: make_key(name) for name in ROLES}
    for name, key in keys.items():
        answer = called(client, method, path, key)
        allowed = role == "–" or ROLES.index(name) >= ROLES.index(role)  # type: ignore[arg-type]
        if allowed:
            assert answer.status_code not in (401, 403), (name, answer.text)
            assert answer.status_code < 500
        else:
            assert role in problem(answer, 403, "forbidden")["detail"]


@pytest.mark.parametrize(("method", "path", "role"), ENDPOINTS)
def test_without_a_valid_key_closed_endpoints_say_401(
    client: httpx.Client, make_key: KeyMaker, method: str, path: str, role: str
) -> None:
    admin = make_key()
    key_id = admin.split("_")[1]
    expired = make_key(expires_at=utc_now() - timedelta(seconds=1))
    revoked = make_key()
    assert client.delete(f"/api/admin/keys/{revoked.split('_')[1]}").status_code == 204
    wrong = f"svf_{key_id}_{'x' * len(admin.split('_')[2])}"
    for key in (None, "nonsense", "svf_", wrong, expired, revoked, admin[:-1], admin + "x"):
        answer = called(client, method, path, key)
        if role == "–":
            assert answer.status_code == 200
            continue
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_is_taken_from_either_header(client: httpx.Client, make_key: KeyMaker) -> None:
    key = make_key("read")
    answer = client.get("/api/models", headers=BARE | {"X-API-Key": key})
    assert answer.status_code == 200
    basic = client.get("/api/models", headers={"Authorization": f"Basic {key}"})
    problem(basic, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/docs", "/docs/errors", "/docs/guides/first-call"])
def test_pages_for_people_need_no_key(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=BARE)
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]
