"""The code location of the small firm's one model, for runs in processes of their own.

``FIRM`` names the firm's folder, ``FIRM_WAREHOUSE`` a warehouse elsewhere; with ``TRAINS_FOR`` a
training takes so many seconds, and ``INTERRUPT`` says what a library it calls makes of the first
interrupt: ``raised`` (as it is), ``swallowed`` or ``renamed``.
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


def learn_slowly(*args: Any) -> Any:
    seconds = float(os.environ.get("TRAINS_FOR", "0"))
    try:
        time.sleep(seconds)
    except dg.DagsterExecutionInterruptedError:
        match os.environ["INTERRUPT"]:
            case "swallowed":
                time.sleep(seconds)
            case "renamed":
                raise KeyboardInterrupt from None
            case "raised":
                raise
    return learn(*args)


method.learn = learn_slowly
firm = Firm(Path(os.environ["FIRM"]), os.environ.get("FIRM_WAREHOUSE"))
defs = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", firm.on(LAST))
