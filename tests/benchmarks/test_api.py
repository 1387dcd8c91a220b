"""The API's benchmark runs: tiny sizes give every row, wrong answers are errors, nothing stays."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from math import log
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from benchmarks import api_peers, bench_api, runner
from benchmarks.api_client import Line, Target, answer_size, latency, request, throughput
from benchmarks.api_process import free_port, one_threaded, serving

ANSWERS = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *said): pass
    def do_GET(self): self.answer(200 if self.path == "/ready" else 404)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"[0.7500]")
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def answering(port: int) -> list[str]:
    """The command of a server that answers 0.75, and starts another process."""
    return [sys.executable, "-c", ANSWERS, str(port)]


def marked(mark: str) -> list[list[str]]:
    """The commands of processes that inherited the mark, but for this one and multiprocessing's."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and mark in process.environ():
                found.append(process.cmdline())
    return [words for words in found if "resource_tracker" not in " ".join(words)]


@pytest.mark.long
def test_tiny_sizes_give_every_row_and_leave_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"MARK_{uuid4().hex}"
    monkeypatch.setenv(mark, "1")
    tiny = {"models": "churn", "requests": 5, "peer_names": "fastapi,mlserver"}
    sizes = bench_api.BENCHMARK.sizes(quick=True) | tiny | {"cache": str(tmp_path)}

    rows = list(runner.measure("api", sizes, minutes=4))

    assert [row.problem for row in rows if row.problem] == []
    [left_out] = [row.what for row in rows if row.what.startswith("left out")]
    assert "MLServer" in left_out
    assert "tiny sizes make none" in left_out
    measured = [row for row in rows if row.ours is not None]
    assert len(measured) == len(rows) - 1 == 15
    assert all(row.ratio is not None and row.ratio > 0 for row in measured)
    assert sum(row.goal is not None for row in measured) == 12
    [cold] = [row for row in measured if row.what.startswith("cold start")]
    assert cold.ours is not None
    assert cold.ours.peak_mb is not None
    assert 40 < cold.ours.peak_mb < 400
    assert marked(mark) == []


def test_a_server_ends_with_all_that_it_started() -> None:
    port = free_port()
    with serving(answering(port), port, "/ready", {}) as server:
        started = [server.process, *server.process.children(recursive=True)]
        assert server.ready == b"[0.7500]"
        assert server.cpu() > 0
    assert len(started) == 2
    assert not any(process.is_running() for process in started)


def test_a_server_that_does_not_start_says_why() -> None:
    port = free_port()
    broken = [sys.executable, "-c", "raise SystemExit('no room left')"]
    with pytest.raises(RuntimeError, match="no room left"), serving(broken, port, "/", {}):
        pass


def test_turns_give_a_cost_for_each_target() -> None:
    port = free_port()
    with serving(answering(port), port, "/ready", {}) as server:
        targets = [Target.of(server, request("GET", "/ready")) for _ in range(2)]
        costs = latency(targets, requests=5, rounds=2)
        costs += throughput(targets[:1], requests=5, rounds=2, connections=1)
    assert len(costs) == 3
    assert all(0 < cost.seconds < 1 and cost.cpu is not None for cost in costs)


def test_a_peer_that_answers_something_else_is_an_error() -> None:
    port = free_port()
    peer = replace(api_peers.PEERS["bentoml"], path="/any")
    with serving(answering(port), port, "/ready", {}) as server:
        peer.check(server, [[1.0]], [log(3)])  # the log-odds of 0.75
        with pytest.raises(api_peers.PeerError, match="the trees say"):
            peer.check(server, [[1.0]], [log(3) + 1e-6])


def test_an_answer_is_complete_with_its_length() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Length: 3"
    assert answer_size(head) is None
    assert answer_size(head + b"\r\n\r\nab") == len(head) + 7


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", "429"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length"),
    ],
)
def test_other_answers_are_no_figures(answer: bytes, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        answer_size(answer)


def test_a_refusal_stops_the_measurement() -> None:
    port = free_port()
    with (
        serving(answering(port), port, "/ready", {}) as server,
        Line(server.port) as line,
        pytest.raises(RuntimeError, match="404"),
    ):
        line.ask(request("GET", "/other"))


def test_servers_see_no_setting_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_HOME", "/a/home/of/the/user")
    environment = one_threaded({"SEVENFOLD_API_LOG_FORMAT": "json"})
    assert "SEVENFOLD_HOME" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"


def test_every_peer_is_pinned_whole() -> None:
    for pins in {peer.pins for peer in api_peers.PEERS.values() if peer.pins}:
        lines = (api_peers.FOLDER / f"{pins}.txt").read_text().splitlines()
        assert all(line.startswith("#") or "==" in line for line in lines)
        assert "lightgbm==4.7.0" in lines
