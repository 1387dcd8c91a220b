"""The ``sevenfold`` command: each group of commands lives in its own file of ``commands/``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from pydantic import ValidationError

from ml.models import UnknownModelError
from ml.refusals import Refusal
from orchestration.commands import (
    data,
    house,
    jobs,
    keys,
    models,
    pipeline,
    results,
    retrain,
    schedules,
    webhooks,
)
from orchestration.commands.output import fail

app = typer.Typer(
    name="sevenfold",
    help="Billing data in, seven kinds of decisions out, every day.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (pipeline, data, models, results, jobs, schedules, retrain, keys, webhooks, house):
    group.register(app)

RAISING = (data, models, jobs, schedules, retrain, keys, webhooks)
MENDABLE = (
    *(Refusal, UnknownModelError),
    *(error for group in RAISING for error in group.MENDABLE),
)


def main() -> None:
    """Run a command; what the user can mend ends in one sentence and exit status 1."""
    try:
        app()
    except MENDABLE as error:
        fail(str(error))
        sys.exit(1)
    except ValidationError as error:
        if not error.title.endswith("Settings"):
            raise
        for problem in error.errors():
            fail(_bad_setting(problem["loc"], problem["msg"], problem["input"]))
        sys.exit(1)


def _bad_setting(where: Sequence[int | str], message: str, given: object) -> str:
    """Which variable is wrong, and how; a value that may hold a password is not shown."""
    said = message.removeprefix("Value error, ")
    if not where:  # several settings together: the message names them
        return said
    name = f"SEVENFOLD_{where[0]}".upper()
    hidden = "SECRET" in name or "://" in str(given) or repr(given) in said
    shown = "" if hidden else f" is {str(given)!r}"
    return f"{name}{shown}: {said}"
