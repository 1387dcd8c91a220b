"""Stored decisions against a constant read: asked for before, and never before."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.api_client import Line, Target, latency
from benchmarks.api_home import CONSTANT, Clients, Home
from benchmarks.api_process import Server
from benchmarks.harness import Cost, Row, at_most

LATEST = "/api/churn/latest"
HOT_CLIENTS = 50
MOST_LIMIT = 900
REPEATED_SHARE = 0.9
"""Of reads: most ask again for what was asked before since the day was scored."""
GOALS = {"sqlite": at_most(1.3), "postgresql": at_most(2.7)}


def reads(
    home: Home, known: Clients, server: Server, database: str, requests: int, rounds: int
) -> Iterator[Row]:
    """Stored decisions, asked for again and never asked before, against the constant read."""

    def new_entities() -> Iterator[bytes]:
        # Another limit is another question, although the rows are the same.
        for limit in range(100, 100 + MOST_LIMIT):
            yield from (home.get(f"{LATEST}/{name}?limit={limit}") for name in known.ids)

    def new_lists() -> Iterator[bytes]:
        # Every row is above such a threshold: as many rows are read as without it.
        for number in itertools.count():
            yield home.get(f"{LATEST}?limit=50&margin_at_risk.gt=-{10**9 + number}")

    hot = [home.get(f"{LATEST}/{name}") for name in known.ids[:HOT_CLIENTS]]
    with Line(server.port) as line:
        for asked in hot:
            line.ask(asked)
    kinds = {
        f"{LATEST}/{{entity}}": (Target.of(server, *hot), Target(server, new_entities())),
        f"{LATEST}?limit=50": (
            Target.of(server, home.get(f"{LATEST}?limit=50")),
            Target(server, new_lists()),
        ),
    }
    targets = [Target.of(server, home.constants[1]), *itertools.chain(*kinds.values())]
    theirs, *taken = latency(targets, requests, rounds)
    if database != "sqlite":
        taken = [Cost(cost.seconds) for cost in taken]
    for number, kind in enumerate(kinds):
        repeated, new = taken[2 * number : 2 * number + 2]
        for note, cost, goal in (
            ("asked before", repeated, None),
            ("never asked before", new, None),
            (f"{REPEATED_SHARE:.0%} asked before", _mixed(repeated, new), GOALS[database]),
        ):
            yield Row(f"GET {kind}, {database}, {note}", f"GET {CONSTANT}", cost, theirs, goal)


def _mixed(repeated: Cost, new: Cost) -> Cost:
    """What a read takes on average where most were asked before."""

    def mean(one: float, other: float) -> float:
        return REPEATED_SHARE * one + (1 - REPEATED_SHARE) * other

    cpu = None if repeated.cpu is None or new.cpu is None else mean(repeated.cpu, new.cpu)
    return Cost(mean(repeated.seconds, new.seconds), cpu)
