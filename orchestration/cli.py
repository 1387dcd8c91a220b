"""The ``sevenfold`` command: each group of commands lives in its own file of ``commands/``."""

from __future__ import annotations

import sys

import typer

from ml.models import UnknownModelError
from ml.refusals import Refusal
from orchestration.commands import data, house, models, pipeline, results
from orchestration.commands.output import fail

app = typer.Typer(
    name="sevenfold",
    help="Billing data in, seven kinds of decisions out, every day.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (pipeline, data, models, results, house):
    group.register(app)


def main() -> None:
    """Run a command; what the user can mend ends in one sentence and exit status 1."""
    try:
        app()
    except (Refusal, UnknownModelError, *data.MENDABLE) as error:
        fail(str(error))
        sys.exit(1)
