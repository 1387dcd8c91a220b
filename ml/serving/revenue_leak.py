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
        lines = [_dated(query.line, "line")] if query.line else []
        work = [_dated(query.work_entry, "work_entry")] if query.work_entry else []
        rates = [_dated(rate, "rates", place) for place, rate in enumerate(query.rates)]
        lines += [
            _dated(line, "recent_lines", place) for place, line in enumerate(query.recent_lines)
        ]
        scored = self.fitted.score(
            pd.DataFrame(lines, columns=list(_LINE_FIELDS)),
            pd.DataFrame(rates) if rates else None,
            pd.DataFrame(work) if work else None,
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


def _dated(part: Any, *where: str | int) -> dict[str, Any]:
    """The fields of a part, days as such; QueryError says which is none."""
    fields: dict[str, Any] = part.model_dump()
    for name in _DAYS:
        if fields.get(name) is not None:
            fields[name] = moment(name, fields[name], *where, name)
    return fields
