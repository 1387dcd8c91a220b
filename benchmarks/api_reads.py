"""Stored decisions against a constant read: of one entity, and lists asked for before and never."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.api_client import Target, latency
from benchmarks.api_home import CONSTANT, Clients, Home
from benchmarks.api_process import Server
from benchmarks.harness import Cost, Row, at_most

LATEST = "/api/churn/latest"
GOALS = {"sqlite": at_most(1.3), "postgresql": at_most(2.7)}


def reads(
    home: Home, known: Clients, server: Server, database: str, requests: int, rounds: int
) -> Iterator[Row]:
    """Stored decisions against the constant read.

    An entity's are read from the warehouse each time; a list is asked for again, or with a filter
    that nobody asked for before.
    """

    def new_lists() -> Iterator[bytes]:
        # Every row is above such a threshold: as many rows are read as without it.
        for number in itertools.count():
            yield home.get(f"{LATEST}?limit=50&margin_at_risk.gt=-{10**9 + number}")

    goal = GOALS[database]
    kinds = {
        f"GET {LATEST}/{{entity}}, {database}": (
            Target.of(server, *(home.get(f"{LATEST}/{name}") for name in known.ids)),
            goal,
        ),
        f"GET {LATEST}?limit=50, {database}, asked before": (
            Target.of(server, home.get(f"{LATEST}?limit=50")),
            goal,
        ),
        f"GET {LATEST}?limit=50, {database}, never asked before": (
            Target(server, new_lists()),
            None,
        ),
    }
    targets = [Target.of(server, home.constants[1]), *(target for target, _ in kinds.values())]
    theirs, *taken = latency(targets, requests, rounds)
    for (what, (_, wanted)), cost in zip(kinds.items(), taken, strict=True):
        # Where a database server works too, our own CPU time says little.
        ours = cost if database == "sqlite" else Cost(cost.seconds)
        yield Row(what, f"GET {CONSTANT}", ours, theirs, wanted)
