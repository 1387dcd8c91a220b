"""Pictures of decisions as SVG, drawn without a browser."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ml.models.spec import Picture

WIDTH, COLOUR, SECOND = 460, "#2f6690", "#d98e04"
MOST_BARS = 12


def value_chart(rows: list[dict[str, Any]]) -> str:
    """Value in money by model beside the naive baseline's, each model on an axis of its own.

    ``rows`` hold title, ours and naive. The periods differ, so no bar is measured by another's.
    """
    import altair as alt

    long = pd.DataFrame(rows).melt("title", ["ours", "naive"], "which", "value").dropna()
    titles = [row["title"] for row in rows]
    x = alt.X("value:Q", axis=None)
    y = alt.Y("which:N", title=None, sort=["ours", "naive"])
    colour = alt.Color(
        "which:N", scale=alt.Scale(domain=["ours", "naive"], range=[COLOUR, SECOND]), legend=None
    )
    base = alt.Chart(long).encode(y=y)
    bars = base.mark_bar(cornerRadiusEnd=3).encode(x=x, color=colour)
    figures = base.mark_text(align="left", dx=4).encode(
        x=x, text=alt.Text("value:Q", format=",.0f")
    )
    chart = (
        (bars + figures)
        .properties(width=WIDTH - 180, height=36)
        .facet(
            row=alt.Row(
                "title:N",
                title=None,
                sort=titles,
                header=alt.Header(labelAngle=0, labelAlign="left"),
            )
        )
        .resolve_scale(x="independent")
        .properties(spacing=12)
    )
    return _to_svg(chart)


def picture_chart(picture: Picture, frame: pd.DataFrame) -> str | None:
    """The decisions as the spec's picture says; None where there is nothing to draw."""
    for column, value in picture.where.items():
        frame = frame[frame[column] == value]
    frame = frame.dropna(subset=list(picture.values))
    if frame.empty:
        return None
    draw = {"bars": _bars, "pairs": _pairs, "forecast": _forecast}[picture.kind]
    return draw(picture, frame)


def _bars(picture: Picture, frame: pd.DataFrame) -> str:
    import altair as alt

    value = picture.values[0]
    top = frame.reindex(frame[value].abs().sort_values(ascending=False).index).head(MOST_BARS)
    top = top.assign(label=_labels(top, picture.label))
    y = alt.Y("label:N", sort=None, title=None)
    chart: Any = (
        alt.Chart(top)
        .mark_bar(color=COLOUR, cornerRadiusEnd=3)
        .encode(x=alt.X(f"{value}:Q", title=value.replace("_", " ")), y=y)
    )
    if picture.low and picture.high:
        interval = (
            alt.Chart(top)
            .mark_rule(color="#222", strokeWidth=1.5)
            .encode(x=f"{picture.low}:Q", x2=f"{picture.high}:Q", y=y)
        )
        chart = chart + interval
    return _svg(chart, height=24 * len(top))


def _pairs(picture: Picture, frame: pd.DataFrame) -> str:
    import altair as alt

    long = frame.melt(picture.label, list(picture.values), "which", "amount")
    long["which"] = long["which"].str.replace("_", " ")
    chart = (
        alt.Chart(long)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("amount:Q", title="a period"),
            y=alt.Y(f"{picture.label}:N", title=None),
            yOffset="which:N",
            color=alt.Color(
                "which:N",
                title=None,
                scale=alt.Scale(range=[SECOND, COLOUR]),
                legend=alt.Legend(orient="top"),
            ),
        )
    )
    return _svg(chart, height=44 * frame[picture.label].nunique())


def _forecast(picture: Picture, frame: pd.DataFrame) -> str:
    import altair as alt

    value = picture.values[0]
    series = next(c for c in ("series_id", "subject_id") if c in frame)
    largest = frame.groupby(series)[value].sum().sort_values(ascending=False).index[:4]
    shown = frame[frame[series].isin(largest)].copy()
    shown[picture.label] = pd.to_datetime(shown[picture.label])
    x = alt.X(f"{picture.label}:T", title=None)
    band = (
        alt.Chart(shown)
        .mark_area(opacity=0.25, color=COLOUR)
        .encode(x=x, y=alt.Y(f"{picture.low}:Q", title=None), y2=f"{picture.high}:Q")
    )
    line = alt.Chart(shown).mark_line(color=COLOUR).encode(x=x, y=f"{value}:Q")
    chart = (
        (band + line)
        .properties(width=200, height=90)
        .facet(alt.Facet(f"{series}:N", title=None), columns=2)
        .resolve_scale(y="independent")
    )
    return _to_svg(chart)


def _labels(frame: pd.DataFrame, label: str) -> pd.Series:
    text = frame[label].astype(str)
    if "segment" in frame:
        text = text + " · " + frame["segment"].astype(str)
    # the same label twice would stack two bars into one
    seen = text.groupby(text).cumcount()
    return text.where(seen == 0, text + " (" + (seen + 1).astype(str) + ")")


def _svg(chart: Any, height: int) -> str:
    return _to_svg(chart.properties(width=WIDTH, height=height))


def _to_svg(chart: Any) -> str:
    import vl_convert

    styled = chart.configure(font="Helvetica, Arial, sans-serif").configure_view(stroke=None)
    svg: str = vl_convert.vegalite_to_svg(styled.to_json(default=str))
    return svg
