"""Training: judge on the past, learn from all that is known, keep the artifact, promote.

The artifact's files come first and its row in the warehouse last, so a crash between the two
leaves nothing that a reader could see; the next training writes the same version again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml.artifacts import FITTED, DamagedArtifactError
from ml.estimators.tabular import ColumnMismatchError
from ml.gate import GateVerdict, judge_candidate, why_not
from ml.lifecycle.card import model_card
from ml.lifecycle.retraining import policy_of
from ml.lifecycle.workspace import Workspace, schema_hash
from ml.methods.method import Comparison, Judged
from ml.models import ModelSpec
from ml.refusals import OtherFormatError
from warehouse.database import writing
from warehouse.faults import reach
from warehouse.repositories import models, webhooks
from warehouse.settings import PROJECT
from warehouse.snapshot import Snapshot

REFERENCE = "reference.parquet"
JUDGED = "judged.parquet"
CARD = "card.md"
REFERENCE_ROWS = 5000


@dataclass(frozen=True)
class Trained:
    """A candidate and how it compared."""

    version: str
    data_version: str
    known_through: date
    comparison: Comparison
    gate: GateVerdict


@dataclass(frozen=True)
class Promotion:
    """Who is champion now, and one sentence on why."""

    champion: str | None
    promoted: bool
    sentence: str


def train(workspace: Workspace, spec: ModelSpec, run_id: str) -> Trained:
    """Learn a candidate from the newest snapshot, judge it, and register it.

    Raises Refusal where the model is not available, its data failed the quality verdict, or
    there is too little to learn from.
    """
    data = workspace.snapshot()
    workspace.require_fit(spec, data)
    as_of = workspace.as_of()
    method = workspace.method(spec)
    judged = method.backtest(data, as_of)
    fitted = method.learn(data, as_of)
    if judged is None:
        raise AssertionError("a backtest without `after` judges or raises")
    comparison = method.compare(judged)
    against, comparable = _against_champion(workspace, spec, data, as_of)
    gate = judge_candidate(spec.gate, comparison, against, comparable)
    reference = method.monitored(method.inputs(data, [as_of])[as_of])
    manifest: dict[str, Any] = {
        "estimator": spec.estimator,
        "trained_as_of": as_of.isoformat(),
        "known_through": as_of.isoformat(),
        "data_version": data.id,
        "features": list(map(str, reference.columns)),
        "schema_hash": schema_hash(reference),
        "metrics": dict(comparison.ours),
        "baseline": dict(comparison.baseline),
        "judged_on": comparison.basis,
        "gate": asdict(gate),
        "format": spec.format,
        "lock_hash": lock_hash(),
    }

    def save(folder: Path) -> None:
        (folder / FITTED).mkdir()
        fitted.save(folder / FITTED)
        reach("artifact-files")
        sample = reference.sample(min(len(reference), REFERENCE_ROWS), random_state=0)
        sample.to_parquet(folder / REFERENCE)
        judged.frame.to_parquet(folder / JUDGED)
        (folder / CARD).write_text(model_card(spec, manifest, comparison, gate))

    artifact = workspace.artifacts.write(spec.name, as_of, save, manifest)
    reach("artifact-complete")
    version = models.ModelVersion(
        version=artifact.version,
        model=spec.name,
        trained_at=workspace.clock(),
        trained_as_of=as_of,
        known_through=as_of,
        data_version=data.id,
        estimator=spec.estimator,
        metrics=dict(comparison.ours),
        baseline=dict(comparison.baseline),
        champion_metrics=dict(against[1].ours) if against else None,
        gate=asdict(gate),
        feature_schema_hash=manifest["schema_hash"],
        artifact=f"{spec.name}/{artifact.version}",
        manifest_sha256=_text_hash(json.dumps(artifact.manifest["sha256"])),
        card=f"{spec.name}/{artifact.version}/{CARD}",
        status="candidate" if gate.passed else "rejected",
        lock_hash=manifest["lock_hash"],
        details={"run_id": run_id, "basis": comparison.basis, "rows": comparison.rows},
    )
    with writing(workspace.engine) as connection:
        models.decide_alone(connection, spec.name)  # another training may make the same version
        there = models.get(connection, artifact.version)
        if there is None:
            models.register(connection, version)
        else:
            # The same training again: the verdict that it got then is the one that counts.
            failed = tuple(there.gate.get("failed", ()))
            gate = GateVerdict(there.gate["passed"], tuple(there.gate["reasons"]), failed)
    return Trained(artifact.version, data.id, as_of, comparison, gate)


def promote_if_passed(workspace: Workspace, spec: ModelSpec, by: str) -> Promotion:
    """Promote the newest candidate where it passed the gate and never was champion.

    Where the model's policy wants a person's approval, it waits for that.
    """
    with writing(workspace.engine) as connection:
        models.decide_alone(connection, spec.name)
        champion = models.champion(connection, spec.name)
        current = champion.version if champion else None
        newest = models.latest(connection, spec.name)
        if newest is None:
            return Promotion(current, False, f"{spec.title}: no candidate was trained yet.")
        if newest.version == current:
            return Promotion(current, False, f"{newest.version} is champion already.")
        if not newest.gate["passed"]:
            return Promotion(current, False, f"{why_not(newest.version, newest.gate)}.")
        if models.was_promoted(connection, newest.version):
            return Promotion(
                current,
                False,
                f"{newest.version} was champion before: only a person brings it back.",
            )
        reasons = "; ".join(newest.gate["reasons"])
        if policy_of(connection, workspace, spec).promotion == "approval":
            told = {"model": spec.name, "version": newest.version}
            webhooks.publish(connection, "retraining.awaiting_approval", None, told)
            return Promotion(
                current,
                False,
                f"{newest.version} passed its gate and waits for approval: `sevenfold models"
                f" promote {spec.route} {newest.version}` makes it champion.",
            )
        models.promote(connection, spec.name, newest.version, reasons, by, at=workspace.clock())
        reach("promotion-open")
    return Promotion(newest.version, True, f"{newest.version} is champion: {reasons}.")


def lock_hash() -> str:
    """What the pinned packages were: replay says so when they differ."""
    lock = PROJECT / "requirements.lock"
    return _text_hash(lock.read_text())[:16] if lock.exists() else "unlocked"


def _against_champion(
    workspace: Workspace, spec: ModelSpec, data: Snapshot, as_of: date
) -> tuple[tuple[Comparison, Comparison] | None, bool]:
    """Candidate and champion on days that the champion's training did not know.

    Also whether they can be compared at all: a champion that learned from columns which are
    gone, whose files are damaged or not what today's code can read, cannot decide any more, so it
    must not stand in the way of one that can.
    """
    method = workspace.method(spec)
    try:
        champion = workspace.champion(spec)
        if champion is None:
            return None, False
        theirs: Judged | None = method.backtest(
            data, as_of, workspace.fitted(spec, champion), after=champion.known_through
        )
    except (ColumnMismatchError, DamagedArtifactError, OtherFormatError):
        return None, False
    ours = method.backtest(data, as_of, after=champion.known_through)
    if theirs is None or ours is None:
        return None, True
    return (method.compare(ours), method.compare(theirs)), True


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
