"""Pages for people: Swagger UI without the internet, the guides, and what each error means."""

from __future__ import annotations

import html
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from api import error_codes

ASSETS = str(files("fastapi_offline") / "static")
GUIDES = Path(__file__).resolve().parents[2] / "docs" / "api"
CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " script-src 'self'; frame-ancestors 'none'"
)
STYLE = """
body { margin: 0 auto; max-width: 46rem; padding: 2rem 1.2rem 4rem; color: #1c2330;
  font: 16px/1.6 system-ui, sans-serif; }
nav { border-bottom: 1px solid #d9dee7; margin-bottom: 1.5rem; padding-bottom: .7rem; }
nav a { margin-right: 1.1rem; } a { color: #1a56b0; text-decoration: none; }
a:hover { text-decoration: underline; } h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; }
code { background: #f1f3f7; border-radius: 3px; font-size: .9em; padding: .1em .3em; }
pre { background: #f1f3f7; border-radius: 6px; overflow-x: auto; padding: .9rem 1rem; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border-bottom: 1px solid #d9dee7; padding: .35rem .7rem .35rem 0; text-align: left;
  vertical-align: top; }
"""
SWAGGER = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>Sevenfold API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>"""
START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, docExpansion: "none",
  defaultModelsExpandDepth: 0, persistAuthorization: true, tryItOutEnabled: true
});"""


def add_routes(app: FastAPI) -> None:
    """``/docs`` (Swagger UI), ``/docs/errors`` and ``/docs/guides/{name}``."""
    app.add_route("/docs", swagger, include_in_schema=False)
    app.add_route("/docs/start.js", start, include_in_schema=False)
    app.add_route("/docs/errors", errors, include_in_schema=False)
    app.add_route("/docs/guides/{name}", guide, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=ASSETS))


async def swagger(_: Request) -> HTMLResponse:
    """Swagger UI from the package's own files."""
    return _page(SWAGGER)


async def start(_: Request) -> HTMLResponse:
    """What starts Swagger UI: a file of its own, so that no inline script need be allowed."""
    return HTMLResponse(START, media_type="text/javascript")


async def errors(_: Request) -> HTMLResponse:
    """What each error code means; problems link here."""
    return _page(_rendered("Errors", error_codes.markdown()))


async def guide(request: Request) -> HTMLResponse:
    """A guide of ``docs/api``."""
    name = str(request.path_params["name"]).removesuffix(".md")
    path = GUIDES / f"{name}.md"
    if not re.fullmatch(r"[a-z-]{1,50}", name) or not path.is_file():
        raise HTTPException(404, "There is no such guide.")
    return _page(_rendered(name, path.read_text(encoding="utf-8")))


def _page(text: str) -> HTMLResponse:
    return HTMLResponse(text, headers={"Content-Security-Policy": CSP})


@cache
def _rendered(title: str, text: str) -> str:
    from markdown_it import MarkdownIt  # nobody reads guides while a server starts

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    # Headings get anchors, so that a problem's `type` leads to its code.
    body = re.sub(
        r"<h2>(.*?)</h2>",
        lambda found: f'<h2 id="{_slug(found[1])}">{found[1]}</h2>',
        body,
    )
    body = body.replace('href="../errors.md', 'href="/docs/errors')
    body = re.sub(r'<a href="\.\./[^"]*">(.*?)</a>', r"\1", body)  # pages that are not served
    guides = sorted(path.stem for path in GUIDES.glob("*.md"))
    links = "".join(f'<a href="/docs/guides/{name}">{_title(name)}</a>' for name in guides)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(_title(title))} – Sevenfold</title><style>{STYLE}</style></head>"
        f'<body><nav><a href="/docs">Try the API</a>{links}<a href="/docs/errors">Errors</a></nav>'
        f"{body}</body></html>"
    )


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", re.sub(r"<.*?>", "", heading).lower()).strip("-")


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()
