"""How text and other types become contract types: SQL expressions, null where they fail."""

from __future__ import annotations

from warehouse import duck
from warehouse.contract_types import ColumnType

NOTHING = ("", "na", "n/a", "nan", "nat", "null", "none", "-")
TRUE = ("true", "t", "yes", "y", "1", "won", "accepted")
FALSE = ("false", "f", "no", "n", "0", "lost", "declined", "rejected")
KIND = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "date": "a date",
    "instant": "a date and time",
}
DUCK_TYPES: dict[ColumnType, str] = {
    "string": "VARCHAR",
    "float": "DOUBLE",
    "int": "BIGINT",
    "bool": "BOOLEAN",
    "date": "DATE",
    "instant": "TIMESTAMP",
}
#: Readings of a date that leave no doubt which part is the month. Years of two digits come first,
#: since ``%Y`` would take 15 for the year 15.
PLAIN_FORMATS = ("%d.%m.%y", "%d-%b-%y", "%d %b %y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d %b %Y",
                 "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y")  # fmt: skip
#: Readings that exclude each other; which one a column uses is told by the column as a whole.
RIVAL_FORMATS = {
    "day first": ("%d/%m/%y", "%d/%m/%Y", "%d-%m-%Y"),
    "month first": ("%m/%d/%y", "%m/%d/%Y", "%m-%d-%Y"),
}
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
             "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")  # fmt: skip
_NUMBER = r"^-?\d+(\.\d*)?$|^-?\.\d+$"


def is_number(duck_type: str) -> bool:
    """Whether a DuckDB type is numeric."""
    return duck_type in (*_INTEGERS, "FLOAT", "DOUBLE") or duck_type.startswith("DECIMAL")


def is_integer(duck_type: str) -> bool:
    """Whether a DuckDB type holds whole numbers only."""
    return duck_type in _INTEGERS


def is_moment(duck_type: str) -> bool:
    """Whether a DuckDB type is a date or an instant."""
    return duck_type == "DATE" or duck_type.startswith("TIMESTAMP")


def text(column: str, duck_type: str, *, is_id: bool = False) -> str:
    """The value as trimmed text; null where there is nothing in it.

    Floating-point ids (13085.0, as pandas keeps ids with gaps) lose their ``.0``.
    """
    quoted = duck.name(column)
    if duck_type in ("FLOAT", "DOUBLE"):
        whole = f"{quoted} = floor({quoted}) AND abs({quoted}) < 9e15"
        return (
            f"CASE WHEN {whole} THEN {quoted}::BIGINT::VARCHAR"
            f" WHEN NOT isnan({quoted}) THEN {quoted}::VARCHAR END"
        )
    trimmed = f"trim({quoted})" if duck_type == "VARCHAR" else f"trim({quoted}::VARCHAR)"
    return f"nullif({trimmed}, '')" if is_id else _something(trimmed)


def read(column: str, duck_type: str, wanted: ColumnType, rival: str, timezone: str) -> str:
    """The value as the wanted contract type; null where it cannot be read or is empty.

    ``rival`` is the reading of dates that the column as a whole told (a key of RIVAL_FORMATS), or
    empty. Instants with a zone become local time in ``timezone``.
    """
    quoted = duck.name(column)
    if wanted == "string":
        return text(column, duck_type, is_id=True)
    if wanted in ("float", "int"):
        number = (
            f"TRY_CAST({quoted} AS DOUBLE)"
            if is_number(duck_type) or duck_type == "BOOLEAN"
            else _number(f"trim({quoted}::VARCHAR)")
        )
        # A NaN in a file of numbers is how many tools write "nothing".
        number = f"nullif({number}, 'nan'::DOUBLE)"
        if wanted == "float":
            return number
        return f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({number} AS BIGINT) END"
    if wanted == "bool":
        if duck_type == "BOOLEAN":
            return quoted
        lowered = f"lower({text(column, duck_type)})"
        return (
            f"CASE WHEN {lowered} IN {TRUE!r} THEN true WHEN {lowered} IN {FALSE!r} THEN false END"
        )
    return _moment(column, duck_type, wanted, rival, timezone)


def _something(trimmed: str) -> str:
    return f"CASE WHEN lower({trimmed}) NOT IN {NOTHING!r} THEN {trimmed} END"


def _number(trimmed: str) -> str:
    """Plain numbers; else currency signs, thousands and a decimal comma, ``(12.50)`` for -12.50."""
    bare = f"regexp_replace({trimmed}, '[\\s\\x{{00A0}}''$£€¥]|[A-Z]{{3}}$|^[A-Z]{{3}}', '', 'g')"
    signed = f"regexp_replace({bare}, '^\\((.*)\\)$|^(.*)-$', '-\\1\\2')"
    dotted = (
        f"CASE WHEN regexp_matches({signed}, '^-?\\d{{1,3}}(,\\d{{3}})+(\\.\\d+)?$')"
        f" THEN replace({signed}, ',', '')"
        f" WHEN regexp_matches({signed}, '^-?\\d{{1,3}}(\\.\\d{{3}})+,\\d+$|^-?\\d+,\\d+$')"
        f" THEN replace(replace({signed}, '.', ''), ',', '.') ELSE {signed} END"
    )
    # DuckDB reads 1_000 as 1000 and other notations of programmers; bills have none of them.
    read = f"coalesce(TRY_CAST({trimmed} AS DOUBLE), TRY_CAST({dotted} AS DOUBLE))"
    return f"CASE WHEN NOT contains({trimmed}, '_') THEN {read} END"


def _moment(column: str, duck_type: str, wanted: ColumnType, rival: str, timezone: str) -> str:
    quoted, target = duck.name(column), DUCK_TYPES[wanted]
    if duck_type == "TIMESTAMP WITH TIME ZONE":
        return f"({quoted} AT TIME ZONE {duck.text(timezone)})::{target}"
    if is_moment(duck_type):
        return f"TRY_CAST({quoted} AS {target})"
    trimmed = f"trim({quoted}::VARCHAR)"
    zoned = f"regexp_matches({trimmed}, ':\\d\\d(\\.\\d+)?\\s*(Z|[+-]\\d\\d(:?\\d\\d)?)$')"
    local = f"(TRY_CAST({trimmed} AS TIMESTAMPTZ) AT TIME ZONE {duck.text(timezone)})"
    formats = [*PLAIN_FORMATS, *RIVAL_FORMATS.get(rival, ())]
    timed = [form + time for form in formats for time in _TIMES]
    other = (
        f"CASE WHEN {zoned} THEN {local} ELSE coalesce(TRY_CAST({trimmed} AS TIMESTAMP),"
        f" try_strptime({trimmed}, {duck.texts(timed)})) END"
    )
    # Most columns hold bare ISO dates, which need none of the slower readings.
    plain = f"CASE WHEN length({trimmed}) <= 10 THEN TRY_CAST({trimmed} AS DATE)::{target} END"
    return f"coalesce({plain}, ({other})::{target})"
