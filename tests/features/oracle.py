"""The independent oracle: the same figures by plain DuckDB SQL, one date and one feature at a time.

It shares no code with the engine. It first builds what a reader could see at the date (row
versions, own-dated columns masked), then asks plain questions of that. Event tables are told
again here in SQL; ratios and trends follow from exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from itertools import pairwise

import duckdb
import pyarrow as pa

from ml.features import (
    Active,
    ActiveDays,
    Attribute,
    Calendar,
    Count,
    Difference,
    DistinctValues,
    Feature,
    Known,
    Mean,
    MeanGap,
    Ratio,
    Recency,
    Sum,
    Tenure,
    Trend,
)

OWN_DATED = {
    "invoices": {"paid_on": "paid_on"},
    "quotes": {"won": "decided_on", "decided_on": "decided_on"},
    "clients": {"ended_on": "ended_on"},
}

SERVICE_AT = (
    "(SELECT {column} FROM raw_services s WHERE s.service_id = t.service_id AND s.known_at <= "
    "t.issued_on AND (s.valid_from IS NULL OR s.valid_from <= t.issued_on) AND (s.valid_to IS NULL "
    "OR t.issued_on < s.valid_to) ORDER BY greatest(s.known_at, coalesce(s.valid_from, "
    "s.known_at)) DESC LIMIT 1)"
)
AMOUNT = "coalesce(t.amount, t.quantity * t.unit_price)"

EVENTS: Mapping[str, str] = {
    "lines": f"""SELECT client_id, issued_on AS day, {AMOUNT} AS amount, quantity, service_id,
        {AMOUNT} < 0 AS is_credit, {AMOUNT} > 0 AS is_sale,
        {AMOUNT} - coalesce(cost, quantity * {SERVICE_AT.format(column="unit_cost")}, 0) AS margin,
        CASE WHEN {AMOUNT} > 0 THEN quantity * {SERVICE_AT.format(column="list_price")}
             WHEN {AMOUNT} IS NULL THEN NULL ELSE 0 END AS list_value,
        CASE WHEN {AMOUNT} > 0 AND {SERVICE_AT.format(column="list_price")} IS NOT NULL
             THEN {AMOUNT} ELSE 0 END AS listed_amount
        FROM seen_invoice_lines t""",
    "invoices": "SELECT client_id, issued_on AS day, amount, disputed FROM seen_invoices",
    "payments": """SELECT client_id, paid_on AS day, paid_on - issued_on AS days_to_pay,
        CASE WHEN due_on IS NOT NULL THEN greatest(paid_on - due_on, 0) END AS days_late,
        paid_on > due_on AS is_late FROM seen_invoices WHERE paid_on IS NOT NULL""",
    "fell_due": """SELECT client_id, greatest(due_on + 1, issued_on) AS day, amount
        FROM seen_invoices WHERE due_on IS NOT NULL""",
    "settled": """SELECT client_id, greatest(due_on + 1, issued_on, paid_on) AS day, amount
        FROM seen_invoices WHERE due_on IS NOT NULL AND paid_on IS NOT NULL""",
    "work": """SELECT client_id, worked_on AS day, quantity, cost, NOT billable AS is_unbillable
        FROM seen_work_entries""",
    "quotes": "SELECT client_id, quoted_on AS day FROM seen_quotes",
    "decided_quotes": """SELECT client_id, decided_on AS day, CAST(won AS INTEGER) AS won
        FROM seen_quotes WHERE decided_on IS NOT NULL""",
}


class Oracle:
    """Figures as of one date, client by client; None where undefined."""

    def __init__(self, tables: Mapping[str, pa.Table], as_of: date) -> None:
        self.as_of = as_of
        self._asked: dict[str, dict[str, object]] = {}
        self._sql = duckdb.connect(config={"threads": 1})
        day = f"DATE '{as_of}'"
        for name, table in tables.items():
            self._sql.register(f"raw_{name}", table)
            masks = ", ".join(
                f"CASE WHEN {by} <= {day} THEN {column} END AS {column}"
                for column, by in OWN_DATED.get(name, {}).items()
                if column in table.column_names
            )
            self._sql.execute(
                f"CREATE TEMP TABLE seen_{name} AS SELECT * {f'REPLACE ({masks})' if masks else ''}"
                f" FROM raw_{name} WHERE known_at <= {day} AND (valid_from IS NULL OR valid_from <="
                f" {day}) AND (valid_to IS NULL OR {day} < valid_to)"
            )
        for name, select in EVENTS.items():
            if _table_of(select) in tables:
                self._sql.execute(
                    f"CREATE TEMP TABLE {name} AS SELECT * FROM ({select}) WHERE day <= {day}"
                    " AND client_id IS NOT NULL"
                )

    def _ask(
        self,
        events: str,
        aggregate: str,
        days: int | None = None,
        ago: int = 0,
        where: str | None = None,
    ) -> dict[str, object]:
        conditions = [f"DATE '{self.as_of}' - day >= {ago}"]
        if days is not None:
            conditions.append(f"DATE '{self.as_of}' - day < {days + ago}")
        if where is not None:
            conditions.append(where)
        query = (
            f"SELECT client_id, {aggregate} FROM {events} WHERE {' AND '.join(conditions)}"
            " GROUP BY client_id"
        )
        if query not in self._asked:
            self._asked[query] = dict(self._sql.execute(query).fetchall())
        return self._asked[query]

    def members(self, population: object) -> list[str]:
        """Who is in, sorted."""
        if isinstance(population, Active):
            events = population.table.name
            return sorted(self._ask(events, "count(*)", population.within_days))
        assert isinstance(population, Known)
        rows = self._sql.execute("SELECT DISTINCT client_id FROM seen_clients").fetchall()
        return sorted(row[0] for row in rows)

    def value(self, feature: Feature, client: str) -> Fraction | str | None:
        """One cell, exact."""
        found = self._value(feature, client)
        return Fraction(found) if isinstance(found, int | float) else found

    def overdue(self, client: str) -> tuple[Fraction, int]:
        """By its definition: due before the date, issued by then, not paid as far as known."""
        total, count = self._sql.execute(
            "SELECT sum(CAST(round_even(amount * 10000, 0) AS HUGEINT)), count(*)"
            " FROM seen_invoices WHERE client_id = ? AND paid_on IS NULL"
            f" AND due_on < DATE '{self.as_of}'"
            f" AND issued_on <= DATE '{self.as_of}'",
            [client],
        ).fetchall()[0]
        return Fraction(int(total or 0), 10_000), count

    def _value(self, feature: Feature, client: str) -> Fraction | float | str | None:
        if isinstance(feature, Sum):
            over = (feature.window_days, feature.ending_days_ago, feature.where)
            return self._sum(feature.table.name, feature.column, client, *over)
        if isinstance(feature, Count):
            aggregate = f"count({feature.column or '*'})"
            over = (feature.window_days, feature.ending_days_ago, feature.where)
            return self._ask(feature.table.name, aggregate, *over).get(client, 0)  # type: ignore[return-value]
        if isinstance(feature, Mean):
            over = (feature.window_days, 0, feature.where)
            count = self._ask(feature.table.name, f"count({feature.column})", *over).get(client, 0)
            total = self._sum(feature.table.name, feature.column, client, *over)
            return total / count if count else None  # type: ignore[operator]
        if isinstance(feature, ActiveDays | DistinctValues):
            what = feature.column if isinstance(feature, DistinctValues) else "day"
            over = (feature.window_days, 0, feature.where)
            found = self._ask(feature.table.name, f"count(DISTINCT {what})", *over)
            return found.get(client, 0)  # type: ignore[return-value]
        if isinstance(feature, Recency | Tenure):
            pick = "max(day)" if isinstance(feature, Recency) else "min(day)"
            day = self._ask(feature.table.name, pick, where=feature.where).get(client)
            return None if day is None else (self.as_of - day).days  # type: ignore[operator]
        return self._derived(feature, client)

    def _derived(self, feature: Feature, client: str) -> Fraction | float | str | None:
        if isinstance(feature, MeanGap):
            days = [
                row[0]
                for row in self._sql.execute(
                    f"SELECT DISTINCT day FROM {feature.table.name} WHERE client_id = ?"
                    f" AND {feature.where or 'true'} ORDER BY day",
                    [client],
                ).fetchall()
            ]
            gaps = [(b - a).days for a, b in pairwise(days)]
            return Fraction(sum(gaps), len(gaps)) if gaps else None
        if isinstance(feature, Ratio | Difference):
            pair = ("numerator", "denominator") if isinstance(feature, Ratio) else ("left", "right")
            left, right = (self.value(getattr(feature, part), client) for part in pair)
            if left is None or right is None:
                return None
            assert isinstance(left, Fraction)
            assert isinstance(right, Fraction)
            if isinstance(feature, Difference):
                return left - right
            return left / right if right else None
        if isinstance(feature, Trend):
            return self._trend(feature, client)
        if isinstance(feature, Calendar):
            month = self.as_of.month
            day_of_year = self.as_of.timetuple().tm_yday
            return {"month": month, "quarter": math.ceil(month / 3), "day_of_year": day_of_year}[
                feature.part
            ]
        assert isinstance(feature, Attribute)
        found = self._sql.execute(
            f"SELECT {feature.column} FROM seen_{feature.table} WHERE client_id = ?"
            " ORDER BY greatest(known_at, coalesce(valid_from, known_at)) DESC LIMIT 1",
            [client],
        ).fetchone()
        value = found[0] if found else None
        return (self.as_of - value).days if isinstance(value, date) else value

    def _sum(
        self,
        events: str,
        column: str,
        client: str,
        days: int | None,
        ago: int,
        where: str | None,
    ) -> Fraction:
        scaled = f"sum(CAST(round_even({column}::DOUBLE * 10000, 0) AS HUGEINT))"
        found = self._ask(events, scaled, days, ago, where).get(client)
        return Fraction(int(found or 0), 10_000)  # type: ignore[call-overload]

    def _trend(self, feature: Trend, client: str) -> Fraction | None:
        """Least squares in fractions, oldest window first."""
        sums: list[Fraction] = []
        for back in reversed(range(feature.windows)):
            over = (feature.window_days, back * feature.window_days, feature.where)
            if feature.column is None:
                count = self._ask(feature.table.name, "count(*)", *over).get(client, 0)
                sums.append(Fraction(int(count)))  # type: ignore[call-overload]
            else:
                sums.append(self._sum(feature.table.name, feature.column, client, *over))
        middle = Fraction(feature.windows - 1, 2)
        mean = Fraction(sum(sums), feature.windows)
        slope = sum((i - middle) * (s - mean) for i, s in enumerate(sums)) / sum(
            (i - middle) ** 2 for i in range(feature.windows)
        )
        size = Fraction(sum(abs(s) for s in sums), feature.windows)
        return slope / size if size else None


def _table_of(select: str) -> str:
    return select.split("FROM seen_")[-1].split()[0]
