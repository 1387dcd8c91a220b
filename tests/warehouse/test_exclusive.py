"""The lock of work that spans lake and warehouse."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from sqlalchemy import Engine

from warehouse.database import connect
from warehouse.exclusive import alone


def test_the_second_waits_until_the_first_is_done(bare_engine: Engine, warehouse_url: str) -> None:
    other = connect(warehouse_url)
    told: list[str] = []

    def second() -> None:
        with alone(other, "lake"):
            told.append("second began")

    with alone(bare_engine, "lake"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        told.append("first ended")
    thread.join(10)
    other.dispose()
    assert told == ["first ended", "second began"]


def test_different_work_does_not_wait(bare_engine: Engine) -> None:
    with alone(bare_engine, "lake"), alone(bare_engine, "report"):
        pass


def test_a_process_that_dies_leaves_no_lock(bare_engine: Engine, warehouse_url: str) -> None:
    hold = (
        "import sys, time; from warehouse.database import connect;"
        " from warehouse.exclusive import alone\n"
        f"with alone(connect({warehouse_url!r}), 'lake'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "held"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with alone(bare_engine, "lake"):
        pass
