"""Why a step may not go on, in one sentence that run, UI and API all show."""

from __future__ import annotations

from typing import ClassVar


class Refusal(RuntimeError):
    """A step that the state of things does not allow; asking again changes nothing.

    ``to_mend`` marks those that somebody has to mend, beside those that are as they should be: a
    source without some tables, or too little data yet.
    """

    to_mend: ClassVar[bool] = False


class NoDataError(Refusal):
    """Nothing was ingested yet."""


class NoHomeError(Refusal):
    """A command that only reads was pointed at a folder that holds no home."""


class NotAvailableError(Refusal):
    """The source lacks tables that the model needs."""


class DayError(Refusal):
    """A day that cannot be scored: not over yet, or before the firm's first month."""


class NoChampionError(Refusal):
    """No candidate passed the gate yet, so nothing is scored."""


class QualityError(Refusal):
    """A table that the model uses failed its quality verdict, and nobody accepted that."""

    to_mend = True


class NotEnoughDataError(Refusal):
    """The source has too little to learn from; the message says what and how much is missing."""


class FileError(ValueError):
    """A file of rows that is not of its form; the message says what was found."""


class OtherFormatError(Refusal):
    """A version's files were written by a Sevenfold that wrote them otherwise."""

    to_mend = True


class OtherColumnsError(Refusal):
    """A version learned from columns that today's code or data does not give."""

    to_mend = True
