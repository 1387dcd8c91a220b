"""Progress of long commands: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestration.commands.output import ERR


@contextmanager
def steps(first: str) -> Iterator[Callable[[str], None]]:
    """Show which step is under way, and leave each finished one with its time."""
    started, name = time.monotonic(), first
    status = ERR.status(f"{first} …") if ERR.is_terminal else None

    def finish() -> None:
        ERR.print(f"[green]✓[/] {name} [dim]{time.monotonic() - started:.1f} s[/]", highlight=False)

    def step(following: str) -> None:
        nonlocal started, name
        finish()
        started, name = time.monotonic(), following
        if status:
            status.update(f"{following} …")

    if status:
        status.start()
    try:
        yield step
        finish()
    finally:
        if status:
            status.stop()
