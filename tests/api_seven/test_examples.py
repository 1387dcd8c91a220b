"""Every example of the documentation is answered as the documentation says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import pytest

from ml.models import ModelSpec, default_registry

EXAMPLES = [
    pytest.param(spec, query, id=f"{spec.name}-{number}")
    for spec in default_registry().values()
    for number, query in enumerate(spec.Query.model_json_schema()["examples"])
]


def valid(document: dict[str, Any], name: str, body: Any) -> None:
    """Raise where a body is not what its schema says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(body)


@pytest.mark.parametrize(("spec", "query"), EXAMPLES)
def test_each_example_is_in_openapi_and_is_answered(
    client: httpx.Client, document: dict[str, Any], spec: ModelSpec, query: dict[str, Any]
) -> None:
    assert query in document["components"]["schemas"][spec.Query.__name__]["examples"]
    answer = client.post(f"/api/{spec.route}", json=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    name = spec.Decision.__name__.replace("Decision", "Answer")
    valid(document, name, body)
    assert body["model"] == spec.name
    assert body["decisions"]
    for decision in body["decisions"]:
        spec.Decision.model_validate_json(json.dumps(decision))
    alias = client.post(f"/api/predictions/{spec.route}", json=query)
    assert alias.json() == body
    bare = client.post(f"/api/{spec.route}", params={"reasons": "false"}, json=query).json()
    for with_reasons, without in zip(body["decisions"], bare["decisions"], strict=True):
        assert without.get("reasons") is None
        assert {**with_reasons, "reasons": 0, "evidence": 0} == {
            **without, "reasons": 0, "evidence": 0,
        }  # fmt: skip


@pytest.mark.parametrize("spec", default_registry().values(), ids=lambda spec: spec.name)
def test_pages_versions_and_batches_are_what_their_schemas_say(
    client: httpx.Client, document: dict[str, Any], spec: ModelSpec
) -> None:
    short = spec.Decision.__name__.removesuffix("Decision")
    page = client.get(f"/api/{spec.route}/latest", params={"limit": 1000})
    valid(document, f"{short}Page", page.json())
    for kind in ("info", "health"):
        answer = client.get(f"/api/{spec.route}/models/champion/{kind}")
        valid(document, f"Version{kind.title()}", answer.json())
    health = client.get(f"/api/{spec.route}/models/champion/health").json()
    assert (health["status"], health["answers"], health["detail"]) == ("ok", True, None)
    items = [*spec.Query.model_json_schema()["examples"], {"colour": "red"}]
    batch = client.post(f"/api/{spec.route}/batch", json={"items": items}).json()
    valid(document, f"{short}BatchAnswer", batch)
    *answered, refused = batch["items"]
    for query, item in zip(items, answered, strict=False):
        assert item["error"] is None
        assert item["result"] == client.post(f"/api/{spec.route}", json=query).json()
    assert refused["result"] is None
    assert refused["error"]["code"] == "invalid_request"
    assert "/colour" in [error["pointer"] for error in refused["error"]["errors"]]


def test_a_client_is_seen_across_all_models(client: httpx.Client) -> None:
    found = client.get("/api/predictions", params={"client_id": "C0000001"}).json()
    assert {"churn", "profitability", "anomaly"} <= {*found["models"], *found["silent"]}
    assert {"churn", "profitability"} <= set(found["models"])
    for model, rows in found["models"].items():
        spec = default_registry()[model]
        params = spec.rows_of_client("C0000001")
        page = client.get(f"/api/{spec.route}/latest", params=params).json()
        assert rows == page["items"]
