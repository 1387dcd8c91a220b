"""One thing a transaction, as the processes that share a warehouse do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine

from warehouse.database import writing

T = TypeVar("T")


class Transactions:
    """Calls work with a connection, in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with writing(self.engine) as connection:
            return work(connection, *args, **kwargs)
