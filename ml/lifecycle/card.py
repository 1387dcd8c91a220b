"""The model card: what a version is for, what it learned from, and how well it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.gate import GateVerdict
from ml.methods.method import Comparison
from ml.models import ModelSpec


def model_card(
    spec: ModelSpec, manifest: Mapping[str, Any], comparison: Comparison, gate: GateVerdict
) -> str:
    """Markdown, one page."""
    rows = "\n".join(
        f"| {name} | {ours:.4g} | {_figure(comparison.baseline.get(name))} |"
        for name, ours in comparison.ours.items()
    )
    features = ", ".join(manifest["features"])
    return f"""# {spec.title}

**Question.** {spec.question}
**Decides.** {spec.decides}
**One row.** {spec.row}.

Estimator `{spec.estimator}`, learned on {manifest["trained_as_of"]} from data version
`{manifest["data_version"]}`; no label is later than {manifest["known_through"]}.

## Judged on {comparison.rows} rows ({comparison.basis})

| metric | this version | {spec.gate.baseline} |
|---|---|---|
{rows}

## Gate: {"passed" if gate.passed else "not passed"}

{gate.markdown}

## Inputs

{features}

## Worth

{spec.value}.
"""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
