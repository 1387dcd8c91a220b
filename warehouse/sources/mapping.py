"""Proposes mappings for a folder of a user's own files: one ``.sql`` file a table, and a README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warehouse import contract, duck
from warehouse.contract import KNOWN_AT
from warehouse.ingestion.plan import tidy
from warehouse.sources.errors import SourceError
from warehouse.sources.guess import Guess, Seen, best, look, normal
from warehouse.sources.synonyms import COLUMNS

README = "README.md"


@dataclass(frozen=True)
class Proposal:
    """What a file was taken for; ``table`` is None where nothing fits, as ``notes`` then say.

    ``columns`` maps contract columns to SQL; ``others`` are columns kept as extra ones.
    """

    file: str
    table: str | None
    columns: dict[str, str]
    others: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True)
class InitReport:
    """The proposals, the files that were written, and those that were there and stay."""

    folder: Path
    proposals: Sequence[Proposal]
    written: Sequence[Path]
    kept: Sequence[Path]


def init_source(folder: Path) -> InitReport:
    """Read the folder's CSV and Parquet files and write ``<table>.sql`` for what each seems to be.

    No file is ever overwritten. Raises SourceError where the folder has no data files.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder: give the one that holds your exported files")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".parquet"))
    if not paths:
        raise SourceError(f"{folder} has no .csv or .parquet file: export your data there first")
    with duck.session() as connection:
        seen = [look(path, connection) for path in paths]
    proposals: list[Proposal] = []
    texts: dict[str, str] = {}
    taken: set[str] = set()
    ranked = sorted(((best(one), one) for one in seen), key=lambda pair: -_top(pair[0]))
    for guesses, one in ranked:
        free = [guess for guess in guesses if guess.table.name not in taken]
        if not free:
            proposals.append(_unplaced(one, guesses))
            continue
        chosen = free[0]
        taken.add(chosen.table.name)
        proposals.append(_proposal(chosen))
        if not _as_is(chosen):
            texts[f"{chosen.table.name}.sql"] = _sql(chosen)
    for proposal, text in _headers(proposals, taken, ranked):
        proposals.append(proposal)
        texts[f"{proposal.table}.sql"] = text
    texts[README] = _readme(proposals)
    written, kept = [], []
    for name, text in texts.items():
        path = folder / name
        if path.exists():
            kept.append(path)
        else:
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return InitReport(folder, proposals, written, kept)


def _top(guesses: list[Guess]) -> float:
    return guesses[0].score if guesses else 0.0


def _as_is(guess: Guess) -> bool:
    """Whether ingestion reads the file without a mapping."""
    if guess.seen.path.stem != guess.table.name or guess.notes:
        return False
    return all(tidy(sql.strip('"')) == name for name, sql in guess.columns.items())


def _proposal(guess: Guess) -> Proposal:
    others = [name for name in guess.seen.types if name not in guess.used]
    return Proposal(
        guess.seen.path.name, guess.table.name, dict(guess.columns), others, guess.notes
    )


def _unplaced(seen: Seen, guesses: list[Guess]) -> Proposal:
    if guesses:
        note = f"looks like {guesses[0].table.name}, which another file fits better"
    else:
        note = "no table's required columns were found among: " + ", ".join(seen.types)
    return Proposal(seen.path.name, None, {}, list(seen.types), [note])


def _headers(
    proposals: Sequence[Proposal], taken: set[str], ranked: Sequence[tuple[list[Guess], Seen]]
) -> list[tuple[Proposal, str]]:
    """Invoices out of a file of lines that repeats due or payment dates on every line."""
    lines = next((one for one in proposals if one.table == "invoice_lines"), None)
    if lines is None or "invoices" in taken or "invoice_id" not in lines.columns:
        return []
    seen = next(one for _, one in ranked if one.path.name == lines.file)
    headings = {normal(name): name for name in seen.types}
    dates = {
        column: headings[name]
        for column in ("due_on", "paid_on")
        for name in reversed(COLUMNS["invoices"][column])
        if name in headings and "date" in seen.fits[headings[name]]
    }
    if not dates:
        return []
    total = lines.columns.get("amount")
    amount = f"TRY_CAST({total} AS DOUBLE)" if total else "NULL::DOUBLE"
    if not total:
        quantity, price = lines.columns["quantity"], lines.columns["unit_price"]
        amount = f"TRY_CAST({quantity} AS DOUBLE) * TRY_CAST({price} AS DOUBLE)"
    columns = {
        "invoice_id": lines.columns["invoice_id"],
        "client_id": f"first({lines.columns['client_id']})",
        "issued_on": f"first({lines.columns['issued_on']})",
        "amount": f"sum({amount})",
        **{column: f"first({duck.name(heading)})" for column, heading in dates.items()},
    }
    shown = ",\n".join(f"    {sql} AS {name}" for name, sql in columns.items())
    text = (
        f"-- One row an invoice, out of the lines in {lines.file}. Proposed; check and edit.\n"
        f"SELECT\n{shown}\nFROM {seen.relation}\nGROUP BY {columns['invoice_id']}\n"
    )
    note = "the invoices are the lines' invoice numbers, added up"
    return [(Proposal(lines.file, "invoices", columns, [], [note]), text)]


def _sql(guess: Guess) -> str:
    shown = [f"    {sql} AS {name}" for name, sql in guess.columns.items()]
    missing = [name for name in (*guess.table.column_names, KNOWN_AT) if name not in guess.columns]
    others = [name for name in guess.seen.types if name not in guess.used]
    if others:
        excluded = f" EXCLUDE ({duck.names(sorted(guess.used))})" if guess.used else ""
        shown.append(f"    *{excluded}")
    head = [f"-- {guess.table.name} from {guess.seen.path.name}. Proposed; check and edit."]
    head += [f"-- Assumed: {note}." for note in guess.notes]
    if missing:
        head.append(f"-- Not found, and not required: {', '.join(missing)}.")
    return "\n".join([*head, "SELECT", ",\n".join(shown), f"FROM {guess.seen.relation}", ""])


def _readme(proposals: Sequence[Proposal]) -> str:
    lines = [
        "# Mappings to Sevenfold's input contract",
        "",
        "`sevenfold init-source` proposed the `.sql` files here. Each is one DuckDB SELECT over",
        "the files of this folder and gives the columns of one table. Check them, edit what was",
        "guessed wrong, run `sevenfold check-source folder:.`, then set `SEVENFOLD_SOURCE` to",
        "`folder:` and this folder. Columns that the contract does not know are kept as",
        "attributes. Dates such as 01/02/2024 are read by the column as a whole; say it yourself",
        "with `strptime(col, '%d/%m/%Y')`.",
        "",
        "| file | table | columns |",
        "|---|---|---|",
    ]
    for one in proposals:
        columns = ", ".join(f"{name} = `{sql}`" for name, sql in one.columns.items())
        notes = "; ".join(one.notes)
        shown = "; ".join(filter(None, (columns, notes))).replace("|", "\\|")
        lines.append(f"| {one.file} | {one.table or '–'} | {shown} |")
    absent = [name for name in contract.TABLES if name not in {one.table for one in proposals}]
    return "\n".join([*lines, "", f"Tables without a file: {', '.join(absent) or 'none'}.", ""])
