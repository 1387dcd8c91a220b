"""Requests made from the OpenAPI document, fit and unfit: no 5xx, no answer outside its schema."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from tests.api.conftest import bearing

CASES = int(os.environ.get("ATTACK_CASES", "24"))
"""Requests of each kind to each operation; with 66 the whole is more than 10,000."""
LEAST = 152 * CASES
"""Requests that these are at least: fewer mean that the generator gave up."""

HOOK = {"url": "http://127.0.0.1:61234/told", "events": ["job.cancelled"]}
"""Of a port where nobody listens."""

load_all_checks()
ALWAYS = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
    ]
)
# A batch is answered in place, and a file by a job: an item or row that is refused is no reason to
# refuse the others.
OF_ONE = [*ALWAYS, *CHECKS.get_by_names(["negative_data_rejection"])]


def champions(client: httpx.Client) -> dict[str, str]:
    """The serving version of each model."""
    items = client.get("/api/models").json()["items"]
    return {item["model"]: item["champion"] for item in items if item["champion"]}


class Attack:
    """Every operation of a document asked many times, what came of it, and what went wrong."""

    def __init__(self, client: httpx.Client, cases: int) -> None:
        self.client = client
        self.cases = cases
        self.sent = 0
        self.statuses: dict[str, Counter[int]] = defaultdict(Counter)
        self.failures: dict[tuple[str, str, int], str] = {}
        self.versions = champions(client)
        self.document = client.get("/openapi.json").json()
        self.schema = schemathesis.openapi.from_dict(self.document)
        self.schema.config.update(base_url=str(client.base_url))
        self.schema.config.generation.update(with_security_parameters=False)

    def run(self) -> None:
        """Fit and unfit requests, such about things that are there, and the documented examples."""
        with requests.Session() as self.session:
            self._run()

    def _run(self) -> None:
        for found in self.schema.get_all_operations():
            operation = found.ok()
            known = self._known(operation)
            self._ask(operation, mode=GenerationMode.POSITIVE)
            self._ask(operation, mode=GenerationMode.NEGATIVE)
            if known:
                self._ask(operation, mode=GenerationMode.POSITIVE, **known)
            for example in self._examples(operation):
                self._ask(operation, mode=GenerationMode.POSITIVE, body=example, **known)

    def _ask(self, operation: APIOperation, mode: GenerationMode, **fixed: Any) -> None:
        strategy = operation.as_strategy(mode, **fixed)

        @settings(
            max_examples=self.cases,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def ask(case: Case) -> None:
            self._sent(operation, case)

        try:
            ask()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing there can be wrong

    def _sent(self, operation: APIOperation, case: Case) -> None:
        headers = {"Authorization": self.client.headers["authorization"]}
        answer = case.call(session=self.session, headers=headers, timeout=60)
        self.sent += 1
        self.statuses[operation.label][answer.status_code] += 1
        checks = ALWAYS if operation.path.endswith(("/batch", "/bulk")) else OF_ONE
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as group:
            for failure in group.exceptions:
                where = (operation.label, type(failure).__name__, answer.status_code)
                self.failures.setdefault(where, str(group)[:3000])

    def _known(self, operation: APIOperation) -> dict[str, dict[str, str]]:
        """Values of parameters that name something that is there."""
        found = {}
        if operation.path == "/api/predictions":
            return {"query": {"client_id": "C0000001"}}
        if "{model}" in operation.path:
            found["model"] = "churn"
        if "{version}" in operation.path:
            found["version"] = "champion"
        if "{key_id}" in operation.path:
            made = self.client.post("/api/admin/keys", json={"owner": "attack", "role": "read"})
            found["key_id"] = made.json()["id"]
        if "{webhook_id}" in operation.path:
            for one in self.client.get("/api/webhooks").json()["items"]:
                self.client.delete(f"/api/webhooks/{one['id']}")  # an owner has so many
            found["webhook_id"] = self.client.post("/api/webhooks", json=HOOK).json()["id"]
        if "{delivery_id}" in operation.path:
            job = self.client.post("/api/churn/bulk", params={"all": "true"}).json()["id"]
            self.client.delete(f"/api/jobs/{job}")  # which the webhook is told
            told = self.client.get(f"/api/webhooks/{found['webhook_id']}/deliveries").json()
            found["delivery_id"] = told["items"][0]["id"]
        if operation.path.endswith("/promote"):
            # What serves cannot be promoted again.
            self.client.post("/api/admin/models/churn/rollback", json={"reason": "the attack"})
        if "{schedule_id}" in operation.path:
            asked = {"model": "churn", "action": "score", "cron": "0 6 * * *"}
            found["schedule_id"] = self.client.post("/api/admin/schedule", json=asked).json()["id"]
        if "/retrain/{job_id}" in operation.path:
            asked = {"model": "demand", "reason": "the attack"}
            found["job_id"] = self.client.post("/api/admin/retrain", json=asked).json()["id"]
        elif "{job_id}" in operation.path:
            made = self.client.post("/api/churn/bulk", params={"all": "true"})
            found["job_id"] = made.json()["id"]
            self.client.delete(f"/api/jobs/{found['job_id']}")  # so that it has results
        if "{entity}" in operation.path:
            described = self.document["paths"][operation.path]["get"]["summary"]
            page = self.client.get(operation.path.removesuffix("/{entity}"), params={"limit": 1})
            found["entity"] = page.json()["items"][0][described.rpartition(" ")[2]]
        return {"path_parameters": found} if found else {}

    def _examples(self, operation: APIOperation) -> Iterator[Any]:
        """The documented bodies, alone or all in a batch."""
        body = self.document["paths"][operation.path][operation.method].get("requestBody")
        if body is None or "application/json" not in body["content"]:
            return
        schema = self._resolved(body["content"]["application/json"]["schema"])
        if operation.path == "/api/webhooks":
            yield HOOK  # the documented one names a host of the internet
        if operation.path.endswith("/promote"):
            yield {"version": self.versions["churn"], "reason": "the attack"}
        if operation.path.endswith("/batch"):
            query = self._resolved(schema["properties"]["items"]["items"])
            yield {"items": query["examples"]}
        yield from schema.get("examples", [])

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        found: dict[str, Any] = self.document["components"]["schemas"].get(name, schema)
        return found


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_whatever_the_document_allows_or_forbids_is_answered_within_it(
    client: httpx.Client,
) -> None:
    attack = Attack(client, CASES)
    attack.run()
    for model, version in attack.versions.items():
        if champions(client).get(model) != version:
            why = {"version": version, "reason": "as it was before the attack"}
            assert client.post(f"/api/admin/models/{model}/promote", json=why).status_code == 200
    assert not attack.failures, "\n\n".join(attack.failures.values())
    assert attack.sent >= LEAST
    labels = {
        f"{method.upper()} {path}"
        for path, item in attack.document["paths"].items()
        for method in item
    }
    assert set(attack.statuses) == labels
    silent = {label for label, seen in attack.statuses.items() if min(seen) >= 300}
    assert not silent, "never answered well"
    used = client.get("/api/models", headers=bearing(client.headers["authorization"].split()[1]))
    assert used.status_code == 200, "the key in use still works"
