"""Small pictures for the metadata of a materialised asset, as inline SVG in Markdown."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import pairwise

import dagster as dg


def bars(labels: Sequence[str], values: Sequence[float], title: str) -> dg.MetadataValue:
    """Horizontal bars, one a label, drawn to the largest value."""
    top = max((abs(value) for value in values), default=0.0) or 1.0
    rows = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = 26 + i * 22
        width = 260 * abs(value) / top
        colour = "#3b6ea5" if value >= 0 else "#b5533c"
        rows.append(
            f'<text x="150" y="{y + 12}" text-anchor="end">{_escape(label)}</text>'
            f'<rect x="158" y="{y}" width="{width:.1f}" height="15" fill="{colour}"/>'
            f'<text x="{164 + width:.1f}" y="{y + 12}">{value:,.4g}</text>'
        )
    height = 34 + 22 * len(values)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="520" height="{height}"'
        ' font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="8" y="16" font-weight="bold">{_escape(title)}</text>{"".join(rows)}</svg>'
    )
    data = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{data})")


def histogram(values: Sequence[float], title: str, bins: int = 12) -> dg.MetadataValue:
    """How many values fall into each of ``bins`` equal ranges."""
    import numpy as np

    finite = np.asarray([value for value in values if value is not None], dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return dg.MetadataValue.text(f"{title}: no values")
    counts, edges = np.histogram(finite, bins=bins)
    labels = [f"{low:,.3g} – {high:,.3g}" for low, high in pairwise(edges)]
    return bars(labels, counts.tolist(), title)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
