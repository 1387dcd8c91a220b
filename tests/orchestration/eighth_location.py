"""The code location of the small firm's one model, for runs in processes of their own.

``FIRM`` names the firm's folder, ``FIRM_WAREHOUSE`` a warehouse elsewhere. With ``INTERRUPT`` a
training makes the file ``LEARNING`` and waits to be stopped; it says what a library makes of the
first interrupt: ``raised`` (as it is), ``swallowed`` or ``renamed``.
"""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from ml.jobs import lease
from ml.models.spec import load
from orchestration.definitions import build_definitions
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST, Firm

lease.RENEW_SECONDS = 0.5
method = load(EIGHTH.method)
learn = method.learn


def learn_or_wait(*args: Any) -> Any:
    if "INTERRUPT" in os.environ:
        wait_to_be_stopped(os.environ["INTERRUPT"])
    return learn(*args)


def wait_to_be_stopped(interrupt: str) -> None:
    try:
        Path(os.environ["LEARNING"]).touch()
        time.sleep(60)
    except dg.DagsterExecutionInterruptedError:
        if interrupt == "raised":
            raise
        if interrupt == "renamed":
            raise KeyboardInterrupt from None
        time.sleep(60)


method.learn = learn_or_wait
firm = Firm(Path(os.environ["FIRM"]), os.environ.get("FIRM_WAREHOUSE"))
defs = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", firm.on(LAST))
