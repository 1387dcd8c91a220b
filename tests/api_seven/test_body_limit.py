"""A body has a limit, named where it is passed, whether or not a header tells the length."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.api.test_decisions import problem
from tests.api_seven.test_garbage import JSON

TEN_MEGABYTES = 10 * 1024 * 1024


def in_pieces() -> Iterator[bytes]:
    """A body whose length no header tells."""
    yield b'{"items": ["'
    for _ in range(TEN_MEGABYTES // 65_536):
        yield b"x" * 65_536
    yield b'"]}'


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/churn", "1,048,576"),
        ("/api/predictions/budget", "1,048,576"),
        ("/api/churn/batch", "8,388,608"),
        ("/api/demand/batch", "8,388,608"),
        ("/api/admin/keys", "1,048,576"),
        ("/nowhere", "1,048,576"),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["with its length", "in pieces"])
def test_ten_megabytes_are_too_much(
    client: httpx.Client, path: str, limit: str, told: bool
) -> None:
    answer = client.post(path, content=b"".join(in_pieces()) if told else in_pieces(), headers=JSON)
    if path == "/nowhere" and not told:
        problem(answer, 404, "not_found")  # answered before a byte of the body is read
        return
    assert limit in problem(answer, 413, "body_too_large")["detail"]
    assert client.get("/api/health/live").status_code == 200


def test_a_body_of_almost_the_limit_is_read(client: httpx.Client) -> None:
    body = b'{"client_id": "C0000001"' + b" " * (1_048_576 - 25) + b"}"
    assert len(body) == 1_048_576
    assert client.post("/api/churn", content=body, headers=JSON).status_code == 200
    problem(client.post("/api/churn", content=body + b" ", headers=JSON), 413, "body_too_large")
