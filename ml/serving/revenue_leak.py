"""Revenue leaks on demand: one line or work entry beside what the model remembers."""

from __future__ import annotations

from typing import Any

from ml.serving.base import Answer, Asked, Features
from ml.serving.checks import moment
from ml.serving.fitting import FittingServing

_LINE_FIELDS = (
    *("line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price", "amount"),
    "invoice_id",
)
_DAYS = ("issued_on", "worked_on", "valid_from", "valid_to")


class RevenueLeakServing(FittingServing):
    """Rules and ranking as in batch scoring, on the item given."""

    @staticmethod
    def entity_of(query: Any) -> str | None:
        return None

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        line = {"client_id": "nobody", "service_id": "none", "issued_on": "2020-01-01"}
        return {"line": {**line, "quantity": 1.0, "unit_price": 1.0}}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        import pandas as pd

        from ml.methods.frames import records
        from ml.methods.revenue_leak import decisions

        query = asked.query
        _check(query)
        lines = [line.model_dump() for line in (query.line, *query.recent_lines) if line]
        scored = self.fitted.score(
            pd.DataFrame(lines, columns=list(_LINE_FIELDS)),
            pd.DataFrame([rate.model_dump() for rate in query.rates]) if query.rates else None,
            None if query.work_entry is None else pd.DataFrame([query.work_entry.model_dump()]),
            evidence=reasons,
        )
        # The line asked about comes first, a work entry after all lines.
        item = scored.iloc[[0 if query.line else -1]]
        given = ["line" if query.line else "work_entry"]
        given += [name for name in ("rates", "recent_lines") if getattr(query, name)]
        return Answer(
            records(decisions(item)),
            given=given,
            stored=() if query.rates else ("rates",),
        )


def _check(query: Any) -> None:
    """Days must be days; QueryError says which is not."""
    parts: list[tuple[tuple[str | int, ...], Any]] = [
        (("line",), query.line),
        (("work_entry",), query.work_entry),
        *((("rates", place), rate) for place, rate in enumerate(query.rates)),
        *((("recent_lines", place), line) for place, line in enumerate(query.recent_lines)),
    ]
    for where, part in parts:
        for name, value in () if part is None else part:
            if name in _DAYS and value is not None:
                moment(name, value, *where, name)
