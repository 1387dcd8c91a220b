"""One row a model: state, champion, metric beside the baseline's, rows scored, value in money."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ml.gate import why_not
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.repositories import data_versions, drift, models, scores, value


def model_summary(workspace: Workspace, spec: ModelSpec) -> dict[str, Any]:
    """What is known of a model now, from the warehouse alone; JSON-ready but for dates."""
    with reading(workspace.engine) as connection:
        newest_data = data_versions.newest(connection)
        champion = models.champion(connection, spec.name)
        trained = models.latest(connection, spec.name)
        waiting = models.waiting(connection, spec.name)
        scored = scores.newest_day(connection, spec.name)
        worth = value.newest(connection, spec.name).get(spec.name)
        drifted = drift.overall(connection, spec.name, 1)
    lacking = None
    if newest_data is not None:
        lacking = spec.lacking(newest_data.table_versions)
    metric = spec.gate.metric
    judged = champion or trained
    return {
        "model": spec.name,
        "route": spec.route,
        "title": spec.title,
        "question": spec.question,
        "decides": spec.decides,
        "status": _status(newest_data is not None, lacking, champion, trained, scored),
        "available": newest_data is not None and lacking is None,
        "reason": lacking or _why_silent(champion, trained),
        "champion": champion.version if champion else None,
        "known_through": champion.known_through if champion else None,
        "waiting": waiting.version if waiting else None,
        "metric": metric,
        "metrics": dict(judged.metrics) if judged else None,
        "baseline_metrics": dict(judged.baseline) if judged else None,
        "baseline": spec.gate.baseline,
        "scored_as_of": scored.as_of if scored else None,
        "rows_scored": scored.rows if scored else None,
        "drift": drifted[0].verdict if drifted else None,
        "value": worth.amount if worth else None,
        "value_low": worth.low if worth else None,
        "value_high": worth.high if worth else None,
        "value_baseline": worth.baseline_amount if worth else None,
        "value_as_of": worth.as_of if worth else None,
        "value_from": worth.period_from if worth else None,
        "value_to": worth.period_to if worth else None,
        "value_basis": worth.basis if worth else None,
        "value_reason": worth.reason if worth else None,
        "value_assumptions": dict(worth.assumptions) if worth else None,
        "currency": workspace.settings.currency,
    }


def run_table(
    workspace: Workspace,
    specs: Sequence[ModelSpec],
    problems: Mapping[str, str],
    failed: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The result table of a run: short cells, one row a model; ``problems`` says what stopped,
    and ``failed`` which of them by an error.

    ``value_naive`` is what the naive baseline's decisions were worth over the same days.
    """
    rows = []
    for spec in specs:
        found = model_summary(workspace, spec)
        metrics, naive = found["metrics"] or {}, found["baseline_metrics"] or {}
        problem, silent = problems.get(spec.name), found["reason"]
        if problem and silent and silent in problem:
            problem = None  # the state says it already, and shorter
        waits = None
        if found["waiting"] and found["champion"]:  # else the state says it
            waits = f"{found['waiting']} waits for approval"
        rows.append(
            {
                "model": spec.route,
                "status": _outcome(found["status"], problem, spec.name in failed),
                "champion": found["champion"],
                "metric": found["metric"],
                "ours": metrics.get(found["metric"]),
                "baseline": naive.get(found["metric"]),
                "rows_scored": found["rows_scored"],
                f"value_{found['currency']}": found["value"],
                "value_naive": found["value_baseline"],
                "remark": problem or waits or found["value_reason"] or silent or "",
            }
        )
    return rows


def _outcome(status: str, problem: str | None, failed: bool) -> str:
    if failed:
        return "failed"
    return "stopped" if problem else status


def _status(ingested: bool, lacking: str | None, champion: Any, trained: Any, scored: Any) -> str:
    if not ingested:
        return "no data yet"
    if lacking:
        return "not available"
    if champion is None:
        if trained is None:
            return "not trained"
        return "no champion" if trained.gate["passed"] else "not better than naive"
    return "scored" if scored else "trained"


def _why_silent(champion: Any, trained: Any) -> str | None:
    if champion is not None or trained is None:
        return None
    return f"{why_not(trained.version, trained.gate)}."
