"""The server process: ``python -m api [--host 127.0.0.1] [--port 8000]``."""

from __future__ import annotations

import argparse
import gc


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Serve the HTTP API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=8000, type=int)
    asked = parser.parse_args()
    # What is imported stays: looking for garbage meanwhile is 8 % of a start. Serving turns
    # collection on again.
    gc.disable()
    import uvicorn

    uvicorn.run(
        "api.main:create_app",
        factory=True,
        host=asked.host,
        port=asked.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        proxy_headers=False,  # the proxies that settings trust are our own middleware's business
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
