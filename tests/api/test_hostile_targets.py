"""Targets inside or ambiguous are refused where a webhook is made, and leave no trace."""

from __future__ import annotations

import httpx
import pytest

from tests.api.test_decisions import problem
from tests.webhooks.test_targets import HOSTILE


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_target_is_refused_when_it_is_made(client: httpx.Client, url: str) -> None:
    answer = client.post("/api/webhooks", json={"url": url, "events": ["job.completed"]})
    found = problem(answer, 422, "invalid_request")
    assert [error["pointer"] for error in found["errors"]] == ["/url"]
    assert client.get("/api/webhooks").json()["items"] == []
