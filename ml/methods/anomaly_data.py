"""Series and sales as the anomaly method reads them, and the rolling Gaussian of a series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ml.methods.anomaly_rows import line_rows

if TYPE_CHECKING:
    from ml.estimators.series_detector import SeriesDetector
    from ml.methods.method import Frames
    from warehouse.snapshot import Snapshot

REVENUE = "revenue:all"
"""The series of each day's billed amount, made from invoice lines."""
HISTORY_DAYS = 540
"""Days of lines, and so of the billed amount, that are read."""
SERIES_VALUES, PAST_VALUES = 14_000, 5_300
"""Latest values of a series that are read, and those of them that are but the past of the rest
where there are more: what the detector remembers, its window included. So a value every five
minutes is judged for 30 days, one an hour is read for 580 days, and a daily one for good."""
JUDGED_DAYS, JUDGED_VALUES = 90, 24
SALE = ["line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price"]
VERSION = ["known_at", "valid_from", "valid_to"]


class KnownFrames(dict[str, pd.DataFrame]):
    """A day's ``series`` and ``lines``; what both deciding and monitoring read is made once."""

    @cached_property
    def line_rows(self) -> pd.DataFrame:
        """:func:`ml.methods.anomaly_rows.line_rows` of the lines, not to be changed."""
        return line_rows(self["lines"])


class DayFrames(Mapping[date, "Frames"]):
    """What decisions of these days read: ``series`` (series_id, observed_at, value), of each the
    latest ``SERIES_VALUES``, and ``lines`` (sales), both as known by the end of the day.

    The tables are read once. A day's frames are made when they are asked for and only the last
    ones are kept: those of a month of days would take as much memory as a month of such firms.
    """

    def __init__(self, data: Snapshot, days: Sequence[date]) -> None:
        self._days = tuple(days)
        self._last: tuple[date, KnownFrames] | None = None
        first, last = min(days, default=date.max), max(days, default=date.min)
        self._lines, self._series = _sales(data, first, last), _series(data, first, last)

    def __getitem__(self, day: date) -> KnownFrames:
        if day not in self._days:
            raise KeyError(f"{day} is none of the days whose inputs were asked for")
        if self._last is None or self._last[0] != day:
            self._last = None  # before the next ones are made, not beside them
            self._last = (day, self._made(day))
        return self._last[1]

    def __iter__(self) -> Iterator[date]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)

    def _made(self, day: date) -> KnownFrames:
        since = pd.Timestamp(day - timedelta(days=HISTORY_DAYS))
        lines = _known(self._lines[self._lines["observed_at"] >= since], day)
        series = _known(self._series, day)
        series = series.groupby("series_id", sort=False).tail(SERIES_VALUES)
        if len(lines):
            series = pd.concat([_revenue(lines), series], ignore_index=True)
            series = series.sort_values(["series_id", "observed_at"])
        return KnownFrames(series=series.reset_index(drop=True), lines=lines.reset_index(drop=True))


def anomaly_frames(data: Snapshot, day: date) -> KnownFrames:
    """The :class:`DayFrames` of one day."""
    return DayFrames(data, [day])[day]


def line_rows_of(inputs: Frames) -> pd.DataFrame:
    """The :func:`~ml.methods.anomaly_rows.line_rows` of these inputs."""
    return inputs.line_rows if isinstance(inputs, KnownFrames) else line_rows(inputs["lines"])


def past_only(times: pd.Series) -> int:
    """How many values of a series, as read, are but the past of the others: 0 if all were read."""
    return PAST_VALUES if len(times) >= SERIES_VALUES else 0


def judged_since(
    series: pd.DataFrame,
    detector: SeriesDetector,
    start: pd.Timestamp,
    not_before: pd.Timestamp | None = None,
) -> dict[str, pd.Timestamp]:
    """From when on each series is judged: ``start``, or earlier where too little came since.

    A series that ended long ago is judged on its own last ``JUDGED_DAYS``, one told monthly on its
    last ``JUDGED_VALUES``; neither on its first third, which is the past that the rest is compared
    with, nor where the detector cannot score yet. It learns nothing beforehand, so no value is
    too old for that, but none before ``not_before`` counts. A series that is too short has no
    start.
    """
    found = {}
    for name, rows in series.groupby("series_id"):
        times = rows["observed_at"]
        past = max(detector.warm_up(rows), past_only(times), len(times) // 3)
        if past >= len(times):
            continue
        days_back = times.iloc[-1] - pd.Timedelta(days=JUDGED_DAYS - 1)
        values_back = times.iloc[-min(JUDGED_VALUES, len(times))]
        since = max(min(start, days_back, values_back), times.iloc[past])
        found[str(name)] = since if not_before is None else max(since, not_before)
    return found


def rolling_gaussian(values: pd.Series, window: int = 28) -> np.ndarray:
    """The naive baseline of a series: distance from the rolling mean in rolling deviations."""
    past = values.shift(1).rolling(window, min_periods=7)
    spread = past.std().replace(0.0, np.nan)
    distance: np.ndarray = ((values - past.mean()).abs() / spread).fillna(0.0).to_numpy()
    return distance


def _sales(data: Snapshot, first: date, last: date) -> pd.DataFrame:
    """All lines that a day from ``first`` to ``last`` may read, in order of time.

    By day and id, since rows come in the order of files whose names are drawn at random.
    """
    if "invoice_lines" not in data.tables or last < first:
        kinds = {"quantity": pa.float64(), "unit_price": pa.float64(), "issued_on": pa.date32()}
        fields = [(name, kinds.get(name, pa.string())) for name in SALE]
        table = pa.schema([*fields, *((name, pa.date32()) for name in VERSION)]).empty_table()
    else:
        table = _versions(data, "invoice_lines", SALE, first, last)
        since = first - timedelta(days=min(HISTORY_DAYS, (first - date.min).days))
        table = table.filter(
            (pc.field("issued_on") >= since)
            & (pc.field("quantity") > 0)
            & (pc.field("unit_price") > 0)
        )
    lines = table.to_pandas(date_as_object=False)
    lines["observed_at"] = lines.pop("issued_on").astype("datetime64[us]")
    return lines.sort_values(["observed_at", "line_id"], kind="stable", ignore_index=True)


def _series(data: Snapshot, first: date, last: date) -> pd.DataFrame:
    columns = ["series_id", "observed_at", "value"]
    if "series" not in data.tables or last < first:
        kinds = [pa.string(), pa.timestamp("us"), pa.float64(), *[pa.date32()] * len(VERSION)]
        fields = list(zip([*columns, *VERSION], kinds, strict=True))
        table = pa.schema(fields).empty_table()
    else:
        table = _versions(data, "series", columns, first, last)
    rows = table.to_pandas(date_as_object=False)
    rows["observed_at"] = rows["observed_at"].astype("datetime64[us]")
    return rows.sort_values(["series_id", "observed_at"], kind="stable", ignore_index=True)


def _versions(
    data: Snapshot, table: str, columns: Sequence[str], first: date, last: date
) -> pa.Table:
    """The rows as of the day where it is but one, else all versions, with their bounds."""
    if first == last:
        return data.as_of(table, last, columns)
    return data.read(table, columns).filter(pc.field("known_at") <= last)


def _known(versions: pd.DataFrame, day: date) -> pd.DataFrame:
    """The rows as of the end of the day, without the bounds of their versions if they have any."""
    if VERSION[0] not in versions:
        return versions
    end = pd.Timestamp(day)
    begun = versions["valid_from"].isna() | (versions["valid_from"] <= end)
    over = versions["valid_to"] <= end
    return versions[(versions["known_at"] <= end) & begun & ~over].drop(columns=VERSION)


def _revenue(lines: pd.DataFrame) -> pd.DataFrame:
    amount = (lines["quantity"] * lines["unit_price"]).groupby(lines["observed_at"]).sum()
    days = pd.date_range(amount.index.min(), amount.index.max(), freq="D")
    daily = amount.reindex(days, fill_value=0.0)
    return pd.DataFrame(
        {"series_id": REVENUE, "observed_at": daily.index, "value": daily.to_numpy()}
    )
