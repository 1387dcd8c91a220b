"""A local S3 server in a process of its own: moto behind one lock, with a gate for kills.

``python -m tests.s3_server FOLDER`` prints its port and serves until its standard input ends. While
a file ``FOLDER/hold`` exists, a write to a path that ends in the file's text is neither done nor
answered, and ``FOLDER/held`` says that one is waiting; once released, it is refused. Every
condition of a write is noted in ``FOLDER/conditions``.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUCKET = "firm"


@dataclass(frozen=True)
class S3:
    """The running server, its folder of gates, and what a client's environment must hold."""

    endpoint: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def serving_s3(folder: Path) -> Iterator[S3]:
    """Serve an empty bucket on a free port until the block ends."""
    # A process of its own: some clients hold Python's lock while they wait for an answer.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.s3_server", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        made = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
        urllib.request.urlopen(made).close()
        try:
            yield S3(endpoint, folder)
        finally:
            process.stdin.close()
            process.wait(30)


@contextmanager
def holding(server: S3, ending: str) -> Iterator[None]:
    """Hold writes to paths with this ending until the block ends, then refuse them."""
    (server.folder / "hold").write_text(ending)
    try:
        yield
    finally:
        (server.folder / "hold").unlink()
        (server.folder / "held").unlink(missing_ok=True)


class Gate:
    """moto's application, a request at a time, so that a condition and its write are one step."""

    def __init__(self, app: Callable[..., Iterable[bytes]], folder: Path) -> None:
        self.app, self.folder, self.lock = app, folder, threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        hold, path = self.folder / "hold", environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "PUT" and hold.exists():
            wanted = hold.read_text()
            if wanted and path.endswith(wanted):
                (self.folder / "held").touch()
                while hold.exists():
                    time.sleep(0.01)
                start("503 Slow Down", [])
                return []
        with self.lock:
            if condition := environ.get("HTTP_IF_NONE_MATCH"):
                with (self.folder / "conditions").open("a") as file:
                    file.write(f"{environ['REQUEST_METHOD']} {condition} {path}\n")
            return list(self.app(environ, start))


def main(folder: Path) -> None:
    import logging

    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gate = Gate(DomainDispatcherApplication(create_backend_app), folder)
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
