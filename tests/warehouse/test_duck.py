"""DuckDB's session as the processes around it see it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

LONG_QUERY = """
import signal
from warehouse import duck
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background has none
with duck.session() as connection:
    connection.execute("SET threads = 1")  # with more, DuckDB at times looks for no signal
    print("asked", flush=True)
    connection.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
"""


def test_a_query_that_is_interrupted_ends_as_any_interrupted_work() -> None:
    command = [sys.executable, "-c", LONG_QUERY]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "asked\n"
            time.sleep(0.5)  # so that DuckDB is at it, and not Python
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
