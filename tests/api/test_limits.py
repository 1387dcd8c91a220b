"""How often one may call: by key and tier, by address, shared in Redis; and how large a body is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from api.main import create_app
from api.middleware.logging import client_address
from api.settings import ApiSettings
from ml.lifecycle.workspace import Workspace
from tests.api.conftest import KeyMaker, bearing
from tests.api.test_decisions import problem
from tests.http_server import serving

FEW = ApiSettings(
    api_tiers={"standard": "5/minute", "unlimited": "unlimited"},
    api_ip_limit="3/minute",
    api_body_limit=2048,
    api_batch_limit=4096,
)


@pytest.fixture
def narrow(workspace: Workspace) -> Iterator[httpx.Client]:
    """A client without a key, of a server that allows little."""
    with serving(create_app(workspace, FEW)) as client:
        yield client


def test_a_key_may_call_as_often_as_its_tier_allows(
    narrow: httpx.Client, make_key: KeyMaker
) -> None:
    key = bearing(make_key("read", tier="standard"))
    left = []
    for _ in range(5):
        answer = narrow.get("/api/models", headers=key)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"standard";q=5;w=60'
        left.append(int(answer.headers["ratelimit"].split("r=")[1].split(";")[0]))
    assert left == [4, 3, 2, 1, 0]
    refused = narrow.get("/api/models", headers=key)
    problem(refused, 429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert "r=0" in refused.headers["ratelimit"]
    other = narrow.get("/api/models", headers=bearing(make_key("read", tier="standard")))
    assert other.status_code == 200


def test_an_unlimited_tier_is_not_counted(narrow: httpx.Client, make_key: KeyMaker) -> None:
    key = bearing(make_key("read", tier="unlimited"))
    for _ in range(10):
        answer = narrow.get("/api/models", headers=key)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


def test_calls_without_a_valid_key_count_for_the_address(narrow: httpx.Client) -> None:
    for headers in ({}, bearing("svf_nobody_nothing"), {}):
        problem(narrow.get("/api/models", headers=headers), 401, "unauthorized")
    problem(narrow.get("/api/models"), 429, "rate_limited")
    problem(narrow.get("/"), 429, "rate_limited")


def test_health_is_exempt(narrow: httpx.Client) -> None:
    for _ in range(10):
        assert narrow.get("/api/health/live").status_code == 200
        assert narrow.get("/api/health").status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_the_address_is_taken_from_proxies_that_are_trusted(
    peer: str, forwarded: str, expected: str
) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"client": (peer, 1234), "headers": headers}
    trusted = ApiSettings(api_trusted_proxies=["10.0.0.0/8"]).proxies
    assert client_address(scope, trusted) == expected
    assert client_address(scope, ()) == peer


def test_a_body_above_the_limit_is_refused_naming_it(
    narrow: httpx.Client, make_key: KeyMaker
) -> None:
    key = bearing(make_key())
    path = "/api/repeat-orders"
    fits = b'{"revenue_30d": 5}' + b" " * 1000
    assert narrow.post(path, content=fits, headers=key).status_code == 200
    body = problem(narrow.post(path, content=b" " * 3000, headers=key), 413, "body_too_large")
    assert "2,048" in body["detail"]
    streamed = narrow.post(path, content=iter([b" " * 1000] * 4), headers=key)
    problem(streamed, 413, "body_too_large")
    batch = narrow.post(f"{path}/batch", content=b" " * 3000, headers=key)
    problem(batch, 422, "invalid_request")
    batch = narrow.post(f"{path}/batch", content=b" " * 5000, headers=key)
    assert "4,096" in problem(batch, 413, "body_too_large")["detail"]


def test_more_requests_at_once_than_allowed_are_told_to_come_back(
    workspace: Workspace, make_key: KeyMaker
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    settings = ApiSettings(api_concurrency=2, api_ip_limit="unlimited")
    key = bearing(make_key())
    with serving(create_app(workspace, settings)) as client, ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(client.get, "/api/models", headers=key) for _ in range(64)]
        answers = [call.result() for call in calls]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert refused
        for answer in refused:
            problem(answer, 503, "busy")
            assert answer.headers["retry-after"] == "1"
        assert client.get("/api/models", headers=key).status_code == 200


def test_several_instances_share_their_counts_in_redis(
    workspace: Workspace, make_key: KeyMaker, redis_url: str
) -> None:
    settings = FEW.model_copy(update={"api_limits_url": redis_url})
    key = bearing(make_key("read", tier="standard"))
    with ExitStack() as stack:
        instances = [stack.enter_context(serving(create_app(workspace, settings))) for _ in "ab"]
        codes = [instances[n % 2].get("/api/models", headers=key).status_code for n in range(7)]
    assert codes == [200] * 5 + [429] * 2


def test_without_redis_each_instance_counts_for_itself(
    workspace: Workspace, make_key: KeyMaker, tmp_path: Path
) -> None:
    away = f"redis+unix://{tmp_path / 'nobody.sock'}"
    settings = FEW.model_copy(update={"api_limits_url": away})
    key = bearing(make_key("read", tier="standard"))
    with serving(create_app(workspace, settings)) as client:
        codes = [client.get("/api/models", headers=key).status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"SEVENFOLD_API_TIERS": "standard"}, "name=limit"),
        ({"SEVENFOLD_API_TIERS": "high=5/minute"}, "standard"),
        ({"SEVENFOLD_API_TIERS": "standard=often"}, "often"),
        ({"SEVENFOLD_API_IP_LIMIT": "a lot"}, "a lot"),
        ({"SEVENFOLD_API_LIMITS_URL": "mongodb://x"}, "redis"),
        ({"SEVENFOLD_API_TRUSTED_PROXIES": "10.0.0.0/8,home"}, "home"),
    ],
)
def test_limits_that_cannot_be_read_are_refused(
    given: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydantic import ValidationError

    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=said):
        ApiSettings()


def test_limits_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_API_TIERS", "standard=5/minute, high=unlimited")
    monkeypatch.setenv("SEVENFOLD_API_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1")
    settings = ApiSettings()
    assert settings.api_tiers == {"standard": "5/minute", "high": "unlimited"}
    assert [str(network) for network in settings.proxies] == ["10.0.0.0/8", "192.168.1.1/32"]
