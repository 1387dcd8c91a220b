"""What the API takes, as ratios: against a constant route, other servers, LightGBM, plain imports.

``make bench-api``. Each server is a process of its own with one thread a model; the servers of a
comparison are asked in turns, and what counts is each one's best round.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import api_home, api_peers
from benchmarks.api_client import Line, Target, latency, throughput
from benchmarks.api_home import CONSTANT, READY, Clients, Home, application
from benchmarks.api_process import Server, free_port, serving
from benchmarks.api_reads import reads
from benchmarks.harness import Benchmark, Cost, Goal, Row, at_least, at_most, best, command

DECISION = "/api/churn?reasons=false"
BATCH = "/api/churn/batch?reasons=false"
BATCH_ROWS = 1000
CHECKED = 20
COLD_PEAK_GOAL_MB = 130
IMPORTS = "import fastapi, uvicorn"
LEAVE = "import os; os._exit(0)"
"""At once: what is imported is not taken down, as no starting server does either."""


def by_id(home: Home, known: Clients) -> list[bytes]:
    """A decision about each client, by its id."""
    return [home.post(DECISION, {"client_id": name}) for name in known.ids]


def by_features(home: Home, known: Clients, places: Sequence[int]) -> list[bytes]:
    """A decision about each of these clients, its features given in full."""
    return [home.post(DECISION, {"features": dict(known.features[place])}) for place in places]


def check(server: Server, asked: Sequence[bytes], expected: Sequence[float]) -> None:
    """RuntimeError where an answer is not the champion's own probability."""
    with Line(server.port) as line:
        for call, probability in list(zip(asked, expected, strict=True))[:CHECKED]:
            found = json.loads(line.ask(call))["decisions"][0]["churn_probability"]
            if abs(found - probability) > api_peers.TOLERANCE:
                raise RuntimeError(f"the API answers {found!r}, the model says {probability!r}")


def middleware(home: Home, whole: Server, requests: int, rounds: int) -> Iterator[Row]:
    """The constant routes with everything around them, and with nothing."""
    with application(home, "without_middleware") as bare:
        for name, call in zip(("POST", "GET"), home.constants, strict=True):
            targets = [Target.of(whole, call), Target.of(bare, call)]
            ours, theirs = latency(targets, requests, rounds)
            what = f"{name} {CONSTANT}, the whole middleware"
            yield Row(what, "no middleware", ours, theirs, at_most(1.5))


def decisions(
    home: Home, known: Clients, server: Server, requests: int, rounds: int
) -> Iterator[Row]:
    """A single decision against the constant one."""
    ways = {
        "by id": (by_id(home, known), known.probability),
        f"{known.matrix.shape[1]} features given": (
            by_features(home, known, range(len(known.ids))),
            known.probability,
        ),
    }
    for asked, expected in ways.values():
        check(server, asked, expected)
    targets = [
        Target.of(server, home.constants[0]),
        *(Target.of(server, *asked) for asked, _ in ways.values()),
    ]
    theirs, *taken = latency(targets, requests, rounds)
    for way, ours in zip(ways, taken, strict=True):
        what = f"one churn decision, {known.trees} trees, {way}"
        yield Row(what, f"POST {CONSTANT}", ours, theirs, at_most(1.5))


def batch(home: Home, known: Clients, server: Server, requests: int, rounds: int) -> Iterator[Row]:
    """A JSON batch against LightGBM's predict, in this process, of what the batch holds."""
    import lightgbm
    import numpy as np
    import pandas as pd

    places = [place % len(known.ids) for place in range(BATCH_ROWS)]
    call = home.post(BATCH, {"items": [{"features": known.features[place]} for place in places]})
    with Line(server.port) as line:
        items = json.loads(line.ask(call))["items"]
    found = [item["result"]["decisions"][0]["churn_probability"] for item in items]
    if not np.allclose(found, known.probability[places], rtol=0, atol=api_peers.TOLERANCE):
        raise RuntimeError("the batch's answers are not the champion's own probabilities")
    booster = lightgbm.Booster(model_file=str(known.model_file))
    matrix = np.ascontiguousarray(known.matrix[places])
    frame = pd.DataFrame(matrix, columns=booster.feature_name())
    inputs = {"the ready matrix": matrix, "a DataFrame": frame}
    taken: dict[str, list[Cost]] = {name: [] for name in ("ours", *inputs)}
    for _ in range(rounds):
        taken["ours"] += latency([Target.of(server, call)], requests, 1)
        for name, rows in inputs.items():
            taken[name].append(_predict(booster, rows, requests))
    what = f"{BATCH_ROWS:,} churn decisions in a JSON batch, {known.trees} trees"
    ours = best(taken["ours"])
    for name, goal in zip(inputs, (at_most(1.5), None), strict=True):
        yield Row(what, f"LightGBM's predict of {name}", ours, best(taken[name]), goal)


def _predict(booster: Any, rows: Any, times: int) -> Cost:
    seconds, worked = [], time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        booster.predict(rows, num_threads=1)
        seconds.append(time.perf_counter() - started)
    return Cost(sorted(seconds)[times // 2], (time.process_time() - worked) / times)


def cold_start(home: Home, times: int) -> Row:
    """From a process's start to its first answer, the interpreter's own start left out."""
    fastapi, ours, champions = [], [], 0
    for _ in range(times + 1):  # the first warms the file cache
        _, _, interpreter = command([sys.executable, "-c", LEAVE])
        _, _, imports = command([sys.executable, "-c", f"{IMPORTS}; {LEAVE}"])
        started, champions = _started(home)
        fastapi.append(_less(imports, interpreter))
        ours.append(_less(started, interpreter))
    what = f"cold start to the first {READY}, {champions} champions"
    found = best(ours[1:])
    return Row(what, IMPORTS, found, best(fastapi[1:]), at_most(3), COLD_PEAK_GOAL_MB)


def _started(home: Home) -> tuple[Cost, int]:
    port = free_port()
    call = [sys.executable, "-m", "api", "--port", str(port)]
    with serving(call, port, READY, home.environment) as server:
        states = json.loads(server.ready)["models"]
        broken = {
            name: state for name, state in states.items() if state not in ("ok", "no_champion")
        }
        if broken:
            raise RuntimeError(f"champions that do not serve: {broken}")
        cost = Cost(server.seconds, server.cpu(), server.peak_mb())
    return cost, sum(state == "ok" for state in states.values())


def _less(cost: Cost, interpreter: Cost) -> Cost:
    cpu = None if cost.cpu is None or interpreter.cpu is None else cost.cpu - interpreter.cpu
    return Cost(cost.seconds - interpreter.seconds, cpu, cost.peak_mb)


def peers(
    home: Home,
    known: Clients,
    ours: Server,
    names: Sequence[str],
    cache: Path,
    make: bool,
    requests: int,
    rounds: int,
    connections: int,
) -> Iterator[Row]:
    """One decision, features in full, against other servers with the same trees."""
    places = known.complete()
    if not places:
        raise RuntimeError("every client of this home lacks a feature: take more clients")
    rows = known.matrix[places].tolist()
    asked = by_features(home, known, places)
    check(ours, asked, known.probability[places].tolist())
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        calls: dict[str, tuple[Server, Sequence[bytes]]] = {}
        for name in names:
            peer = api_peers.PEERS[name]
            try:
                server = stack.enter_context(
                    api_peers.running(peer, cache, known.model_file, Path(folder) / name, make)
                )
                peer.check(server, rows[:CHECKED], known.raw[places][:CHECKED].tolist())
            except RuntimeError as error:
                said = " ".join(str(error).replace("|", "/").split())[:200]
                yield Row(peer.name, problem=said) if make else Row(f"left out: {said}")
                continue
            calls[peer.name] = (server, [peer.asked(row) for row in rows])

        def targets() -> list[Target]:
            return [Target.of(ours, *asked), *(Target.of(one, *its) for one, its in calls.values())]

        what = f"one churn decision, {known.trees} trees, features given"
        mine, *others = latency(targets(), requests, rounds)
        yield from _against(f"{what}: median time", calls, mine, others, at_least(3.5))
        more = requests * 4
        mine, *others = throughput(targets(), more, max(1, rounds // 4), connections)
        what = f"{what}: time a request with {connections} connections"
        yield from _against(what, calls, mine, others, at_least(5))


def _against(
    what: str, names: Mapping[str, object], ours: Cost, others: Sequence[Cost], goal: Goal
) -> Iterator[Row]:
    for name, theirs in zip(names, others, strict=True):
        rate = f" ({1 / ours.seconds:,.0f}/s against {1 / theirs.seconds:,.0f}/s)"
        yield Row(what + rate, name, ours, theirs, goal)


def run(
    clients: int,
    models: str,
    requests: int,
    rounds: int,
    batches: int,
    starts: int,
    connections: int,
    peer_names: str,
    make_peers: int,
    cache: str,
) -> Iterator[Row]:
    """All rows; ``models`` are names with commas, or ``all``; an empty ``cache`` is the user's."""
    os.environ["OMP_NUM_THREADS"] = "1"  # LightGBM in this process has as many threads as a server
    chosen = None if models == "all" else models.split(",")
    names = [name for name in peer_names.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="svf-") as folder:
        with api_home.postgres() as url:
            home, other, known = api_home.make(Path(folder), clients, chosen, url)
            with application(other, "with_middleware") as server:
                stored = list(reads(other, known, server, "postgresql", requests, rounds))
        yield cold_start(home, starts)
        with application(home, "with_middleware") as server:
            yield from middleware(home, server, requests, rounds)
            yield from decisions(home, known, server, requests, rounds)
            yield from batch(home, known, server, batches, rounds)
            yield from reads(home, known, server, "sqlite", requests, rounds)
            yield from stored
            if names:
                place = Path(cache) if cache else api_peers.default_cache()
                yield from peers(
                    *(home, known, server, names, place, bool(make_peers)),
                    *(requests, rounds, connections),
                )


BENCHMARK = Benchmark(
    name="api",
    question="What the API takes, against a constant route, other servers, LightGBM and imports.",
    run=run,
    full={
        "clients": 1000,
        "models": "all",
        "requests": 500,
        "rounds": 20,
        "batches": 10,
        "starts": 5,
        "connections": 16,
        "peer_names": ",".join(api_peers.PEERS),
        "make_peers": 1,
        "cache": "",
    },
    quick={
        "clients": 60,
        "requests": 20,
        "rounds": 1,
        "batches": 2,
        "starts": 1,
        "connections": 4,
        "make_peers": 0,
    },
    minutes=40,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
