"""What answers on-demand queries with one version of a model, and what an answer says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec
import numpy as np

from ml.serving.columns import AnsweredColumns, AskedColumns, Told
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec

Features = Mapping[str, Any]
"""The stored inputs of one entity: what ``Method.online`` kept, as JSON gives it back."""


class StoredFeatures(Mapping[str, Any]):
    """Stored inputs by name, read from their JSON ``text`` when they are first looked at.

    What a version makes of a text it may keep, so that the text need not be read again.
    """

    __slots__ = ("_values", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: dict[str, Any] | None = None

    def read(self) -> dict[str, Any]:
        """All of them, to be looked at and not changed."""
        if self._values is None:
            self._values = msgspec.json.decode(self.text)
        return self._values

    def __getitem__(self, name: str) -> Any:
        return self.read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    def __len__(self) -> int:
        return len(self.read())


class QueryError(ValueError):
    """An on-demand question that cannot be answered; ``pointer`` is the JSON pointer at fault."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class Inputs(NamedTuple):
    """The names of what a decision was made of, by where it came from, and of what was not there.

    ``unseen`` are categories that the version did not see when it learned.
    """

    stored: Sequence[str] = ()
    given: Sequence[str] = ()
    missing: Sequence[str] = ()
    unseen: Sequence[str] = ()


class Answer(NamedTuple):
    """An on-demand decision, its ``Inputs``, and the model's own part beside them."""

    decisions: Sequence[Mapping[str, Any]]
    stored: Sequence[str] = ()
    given: Sequence[str] = ()
    missing: Sequence[str] = ()
    unseen: Sequence[str] = ()
    detail: Mapping[str, Any] | None = None

    @property
    def inputs(self) -> dict[str, Sequence[str]]:
        """The names of the inputs by where they came from."""
        return Inputs(self.stored, self.given, self.missing, self.unseen)._asdict()


class Asked(NamedTuple):
    """A query with the stored features of its entity (None where none are) and their day."""

    query: Any
    stored: Features | None
    as_of: date


class Serving(ABC):
    """One version of a model, loaded to answer.

    Modules of this package import numpy, msgspec and the standard library alone, so that a server
    starts fast and stays small. ``fits`` says that answering fits or loads more than that (pandas,
    a forecaster): then the server lets a worker process do it, with a time limit of its own.
    ``instant`` says that a bare answer takes less than a millisecond, so that other requests may
    wait for it. ``reads_by_name`` says that stored features are looked up by name, so that others
    beside them do no harm. ``asked_by`` are the query's fields that name a stored entity, in the
    order of the parts of its key, where its name alone is a question. ``by_column`` says that
    ``answer_columns`` answers rows, and that several threads may ask at once.
    """

    fits: ClassVar[bool] = False
    instant: ClassVar[bool] = True
    reads_by_name: ClassVar[bool] = False
    asked_by: ClassVar[tuple[str, ...]] = ()
    by_column: ClassVar[bool] = False

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        """Load what the version's training saved in ``folder``."""
        self.spec = spec
        self.settings = settings
        self.folder = folder

    @property
    def text_inputs(self) -> Collection[str]:
        """Names inside a query's free-form field whose values are texts, even ``2024``."""
        return ()

    @staticmethod
    @abstractmethod
    def entity_of(query: Any) -> str | None:
        """The key of the stored features that a query is about; None where it brings its own."""

    @staticmethod
    @abstractmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        """A question, as its JSON body, about a stored entity with these features.

        Without one (None) a question that any version may be asked, if only to refuse it in words.
        """

    @abstractmethod
    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        """The decisions asked for; QueryError where the question cannot be answered."""

    def answer_many(
        self, asked: Sequence[Asked], reasons: bool = True
    ) -> list[Answer | QueryError]:
        """One answer or error for each question, in order, equal to those of ``answer``."""
        return [self._answer_or_error(one, reasons) for one in asked]

    def answer_columns(self, asked: AskedColumns, reasons: bool = True) -> AnsweredColumns:
        """Decisions for the rows of a table that are plainly in order, equal to ``answer_many``'s.

        The other rows, here all, are left to be asked one by one: what is wrong with a row is
        said in one place.
        """
        nobody = np.empty(0, np.int64)
        days, versions = nobody.astype("datetime64[D]"), nobody.astype(object)
        return AnsweredColumns(nobody, days, versions, Told((), nobody), {})

    def _answer_or_error(self, asked: Asked, reasons: bool) -> Answer | QueryError:
        try:
            return self.answer(asked, reasons)
        except QueryError as error:
            return error
