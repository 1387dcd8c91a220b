"""Budget on demand: a total split over the channels, within bounds, to the cent."""

from __future__ import annotations

from typing import Any, ClassVar

from ml.serving.base import Answer, Asked, Features, QueryError
from ml.serving.checks import pointer
from ml.serving.fitting import FittingServing

ALL_CHANNELS = "all channels"
"""The online features' key: a split needs what every channel gets now."""


class BudgetServing(FittingServing):
    """The media mix's best split; its posterior draws need pandas and scipy to be read."""

    reads_by_name: ClassVar[bool] = True

    @staticmethod
    def entity_of(query: Any) -> str | None:
        return ALL_CHANNELS

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        now = sum(features["current_amounts"].values()) if features else 1000.0
        return {"total": max(round(now, 2), 0.01)}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        from ml.estimators.allocation import InfeasibleBudgetError
        from ml.methods.budget import plain, split
        from ml.methods.frames import records

        query, mix = asked.query, self.fitted.mix
        unknown = sorted(set(query.bounds) - set(mix.channels_))
        if unknown:
            raise QueryError(
                f"unknown channel {unknown[0]!r}; there are {mix.channels_}",
                pointer("bounds", unknown[0]),
            )
        bounds = {name: (bound.low, bound.high) for name, bound in query.bounds.items()}
        # Before the first scoring today's amounts are those of the training.
        current = plain(mix.current_)
        if asked.stored is not None:
            known = asked.stored["current_amounts"]
            current |= {name: known[name] for name in mix.channels_ if name in known}
        try:
            decided = split(self.fitted, current, query.total, query.periods, bounds or None)
        except InfeasibleBudgetError as error:
            raise QueryError(str(error), "/bounds") from error
        except ValueError as error:
            # Amounts finer than a cent: the total is looked at first.
            raise QueryError(
                str(error), "/total" if str(error).startswith("total") else "/bounds"
            ) from error
        best = decided.set_index("channel")["recommended_amount"]
        return Answer(
            records(decided),
            stored=() if asked.stored is None else ("current_amounts",),
            given=("total", "periods", *(("bounds",) if query.bounds else ())),
            detail={
                "frequency": self.fitted.facts["frequency"],
                "outcome": self.fitted.facts["outcome"],
                "expected_outcome": mix.expected(best, query.periods),
                "marginal_return_of_split": plain(mix.marginal_return(best / query.periods)),
            },
        )
