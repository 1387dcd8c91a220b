"""Watching a champion: drift of its inputs, performance of its decisions, their value in money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pandas as pd
import pyarrow.compute as pc

from ml.artifacts import Artifact
from ml.drift import DriftRow, check
from ml.lifecycle.scoring import day_chunks
from ml.lifecycle.training import JUDGED, REFERENCE
from ml.lifecycle.workspace import Workspace
from ml.methods.method import Comparison, Judged, Method, Value
from ml.models import ModelSpec
from ml.refusals import NoChampionError
from warehouse.database import reading, writing
from warehouse.repositories import drift, performance, scores, value, webhooks

LIVE: Literal["live"] = "live"
BACKTEST: Literal["backtest"] = "backtest"


@dataclass(frozen=True)
class Measured:
    """Performance and value as stored."""

    basis: str
    rows: int
    verdict: str
    ours: Mapping[str, float]
    baseline: Mapping[str, float]
    value: Value
    value_text: str


def check_drift(
    workspace: Workspace, spec: ModelSpec, days: Sequence[date], run_id: str
) -> dict[date, list[DriftRow]]:
    """Compare each day's inputs with the champion's reference, and store the verdicts."""
    data = workspace.snapshot()
    artifact = _require_champion(workspace, spec)
    reference = pd.read_parquet(artifact.folder / REFERENCE)
    method = workspace.method(spec)
    checked = {}
    for chunk in day_chunks(days):
        with data.for_days(chunk) as held:
            inputs = method.inputs(held, chunk)
        for day in chunk:
            checked[day] = check(
                reference,
                method.monitored(inputs[day]),
                min_rows=workspace.ml.drift_min_rows,
                false_alarm=workspace.ml.drift_false_alarm,
            )
    with writing(workspace.engine) as connection:
        for day, rows in checked.items():
            found = [
                drift.DriftVerdict(
                    model=spec.name,
                    as_of=day,
                    model_version=artifact.version,
                    feature=row.column,
                    statistic=row.statistic,
                    value=row.value,
                    threshold=row.threshold,
                    rows=row.rows,
                    verdict=row.verdict,
                    run_id=run_id,
                )
                for row in rows
            ]
            drift.replace(connection, spec.name, day, artifact.version, found)
            drifted = any(one.feature == drift.OVERALL and one.verdict == "drift" for one in found)
            if drifted and day == max(checked):
                told = {"model": spec.name, "as_of": day, "version": artifact.version}
                webhooks.publish(connection, "drift.detected", None, told)
    return checked


def measure(workspace: Workspace, spec: ModelSpec, through: date, run_id: str) -> Measured:
    """Performance and value of decisions whose outcome is known by ``through``.

    Only stored daily decisions later than the model's ``known_through`` count; where there are
    none yet, the figures are those of the backtest, and say so.
    """
    artifact = _require_champion(workspace, spec)
    method = workspace.method(spec)
    judged, basis = _judged(workspace, spec, method, artifact, through)
    comparison = method.compare(judged)
    worth = method.value(judged)
    verdict = _verdict(spec, comparison)
    with writing(workspace.engine) as connection:
        performance.record_all(
            connection,
            [
                performance.Performance(
                    model=spec.name,
                    as_of=through,
                    model_version=artifact.version,
                    metric=name,
                    basis=basis,
                    value=ours,
                    baseline_value=comparison.baseline.get(name),
                    rows=comparison.rows,
                    in_sample=False,
                    verdict=verdict if name == spec.gate.metric else "reported",
                    run_id=run_id,
                )
                for name, ours in comparison.ours.items()
            ],
        )
        value.write(
            connection,
            value.ModelValue(
                model=spec.name,
                as_of=through if basis == LIVE else artifact.known_through,
                model_version=artifact.version,
                basis=basis,
                currency=workspace.settings.currency,
                assumptions=dict(worth.assumptions),
                period_from=_day(method, judged, min),
                period_to=_day(method, judged, max),
                amount=worth.amount,
                low=worth.low,
                high=worth.high,
                baseline_amount=worth.baseline_amount,
                reason=worth.reason,
                run_id=run_id,
            ),
        )
    return Measured(
        basis=basis,
        rows=comparison.rows,
        verdict=verdict,
        ours=comparison.ours,
        baseline=comparison.baseline,
        value=worth,
        value_text=value_text(worth.amount, worth.reason, workspace.settings.currency),
    )


def value_text(amount: float | None, reason: str | None, currency: str) -> str:
    """The value in words: an amount with its currency, or why there is none."""
    return f"{amount:,.0f} {currency}" if amount is not None else f"not measured: {reason}"


def _judged(
    workspace: Workspace, spec: ModelSpec, method: Method, artifact: Artifact, through: date
) -> tuple[Judged, Literal["live", "backtest"]]:
    with reading(workspace.engine) as connection:
        table = scores.between(
            connection, spec, artifact.known_through + timedelta(days=1), through, origin="live"
        )
    stored = table.filter(pc.field("model_version") == artifact.version).to_pandas()
    if len(stored):
        fitted = workspace.fitted(spec, artifact)
        live = method.judge(fitted, workspace.snapshot(), stored, through)
        if live is not None:
            return live, LIVE
    frame = pd.read_parquet(artifact.folder / JUDGED)
    return Judged(frame, artifact.manifest["judged_on"]), BACKTEST


def _verdict(spec: ModelSpec, comparison: Comparison) -> str:
    ours = comparison.ours[spec.gate.metric]
    naive = comparison.baseline[spec.gate.metric]
    better = ours > naive if spec.gate.higher_is_better else ours < naive
    return "better" if better else "worse"


def _require_champion(workspace: Workspace, spec: ModelSpec) -> Artifact:
    champion = workspace.champion(spec)
    if champion is None:
        raise NoChampionError(f"{spec.title} has no champion, so there is nothing to watch.")
    return champion


def _day(method: Method, judged: Judged, pick: Any) -> date | None:
    if judged.frame.empty:
        return None
    day: date = pd.Timestamp(pick(method.dates(judged))).date()
    return day
