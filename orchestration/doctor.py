"""What is missing or broken in this installation and home, and how to mend it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from ml.artifacts import DamagedArtifactError
from ml.lifecycle.workspace import Workspace
from ml.refusals import OtherFormatError, Refusal
from warehouse.database import reading, utc_now
from warehouse.objects import Objects, StoreError, remote
from warehouse.repositories import verdicts, webhooks
from warehouse.sealing import Seal, UnreadableSecretError
from warehouse.settings import WarehouseSettings

LEAST_FREE_GIB = 2


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``mend`` says what to do where it is not well."""

    what: str
    state: Literal["well", "missing", "broken"]
    detail: str
    mend: str = ""

    def to_dict(self) -> dict[str, str]:
        """For a table or JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at the system, the home, the data and each champion."""
    settings = WarehouseSettings()
    findings = [_libgomp(), _disk(settings)]
    url = make_url(settings.warehouse_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        mend = f"run `sevenfold run --home {settings.home}`, or name another with --home"
        return [*findings, Finding("home", "missing", f"none at {settings.home}", mend)]
    try:
        workspace = Workspace.current()
    except SQLAlchemyError as error:
        cause = str(error).splitlines()[0]
        mend = "check SEVENFOLD_WAREHOUSE_URL and that the database runs"
        return [*findings, Finding("warehouse", "broken", cause, mend)]
    findings.append(Finding("warehouse", "well", workspace.engine.dialect.name))
    store = _store(settings)
    findings += store
    if any(finding.state != "well" for finding in store):
        return findings
    looks: list[Callable[[Workspace], list[Finding]]] = [_data, _quality, _champions, _webhooks]
    return findings + [finding for look in looks for finding in look(workspace)]


def _libgomp() -> Finding:
    if find_library("gomp") or find_library("omp"):
        return Finding("libgomp", "well", "found")
    mend = "install the system package libgomp1 (Debian, Ubuntu) or libgomp (Fedora)"
    return Finding("libgomp", "missing", "LightGBM needs it", mend)


def _disk(settings: WarehouseSettings) -> Finding:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free >= LEAST_FREE_GIB:
        return Finding("disk", "well", f"{free:.0f} GiB free")
    return Finding("disk", "broken", f"{free:.1f} GiB free", "make room, or run `sevenfold purge`")


def _store(settings: WarehouseSettings) -> list[Finding]:
    if not remote(settings.store):
        return []
    try:
        Objects(settings.store).require()
    except StoreError as error:
        mend = "check SEVENFOLD_STORE and the variables of its endpoint and credentials"
        return [Finding("store", "broken", str(error), mend)]
    return [Finding("store", "well", settings.store)]


def _data(workspace: Workspace) -> list[Finding]:
    try:
        version = workspace.data_version()
    except Refusal as refusal:
        return [Finding("data", "missing", str(refusal), "run `sevenfold run`")]
    return [Finding("data", "well", f"snapshot {version.snapshot} of {version.source}")]


def _quality(workspace: Workspace) -> list[Finding]:
    with reading(workspace.engine) as connection:
        newest = verdicts.newest(connection)
        blocked = verdicts.blocking(connection, set(newest))
    return [
        Finding(
            f"quality of {table}",
            "broken",
            rules[0].message,
            f"fix the source, or `sevenfold quality accept {table} {rules[0].rule} --reason …`",
        )
        for table, rules in blocked.items()
    ]


def _champions(workspace: Workspace) -> list[Finding]:
    findings = []
    for spec in workspace.registry.values():
        what = f"champion of {spec.route}"
        try:
            champion = workspace.champion(spec)
        except DamagedArtifactError as error:
            mend = f"sevenfold models rollback {spec.route} --reason damaged"
            findings.append(Finding(what, "broken", str(error), mend))
            continue
        if champion is None:
            findings.append(
                Finding(what, "missing", "none was promoted", f"run --models {spec.route}")
            )
            continue
        try:
            workspace.require_format(spec, champion)
        except OtherFormatError as error:
            mend = f"sevenfold run --train --models {spec.route}"
            findings.append(Finding(what, "broken", str(error), mend))
        else:
            findings.append(Finding(what, "well", champion.version))
    return findings


def _webhooks(workspace: Workspace) -> list[Finding]:
    with reading(workspace.engine) as connection:
        found = webhooks.page(connection, limit=10_000)
    seal, broken = Seal.of(workspace.settings), []
    for webhook in found:
        try:
            webhooks.signing(webhook, seal, utc_now())
        except UnreadableSecretError as error:
            mend = f"set SEVENFOLD_SECRET_KEY, or sevenfold webhooks rotate {webhook.id}"
            broken.append(Finding(f"secret of {webhook.id}", "broken", str(error), mend))
    return broken
