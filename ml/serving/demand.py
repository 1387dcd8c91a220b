"""Demand on demand: a known series further or shorter ahead, or a history never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ml.serving.base import Answer, Asked, Features, QueryError
from ml.serving.checks import moment, pointer
from ml.serving.fitting import FittingServing

if TYPE_CHECKING:
    import pandas as pd


class DemandServing(FittingServing):
    """Forecasts made when asked for."""

    asked_by: ClassVar[tuple[str, ...]] = ("series_id",)

    @staticmethod
    def entity_of(query: Any) -> str | None:
        found: str | None = None if query.history else query.series_id
        return found

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        return {"series_id": entity or "none", "horizon": 1}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        from ml.methods.demand import decisions
        from ml.methods.frames import records

        if asked.query.history:
            return Answer(
                records(decisions(self._of_given(asked.query))), given=("history", "horizon")
            )
        return Answer(
            records(decisions(self._of_known(asked))), stored=("history",), given=("horizon",)
        )

    def _of_known(self, asked: Asked) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        if asked.stored is None:
            raise QueryError(
                f"series {asked.query.series_id!r} is not known; give its history", "/series_id"
            )
        history = pd.DataFrame(
            {
                "unique_id": asked.query.series_id,
                "ds": pd.to_datetime(asked.stored["ds"]),
                "y": np.asarray(asked.stored["y"], dtype=float),
            }
        )
        # A forecast's last bit may hang on how far ahead it looks: the first periods asked for are
        # those of the stored decisions.
        periods = max(asked.query.horizon, self.settings.demand_weeks)
        forecast: pd.DataFrame = self.fitted.predict(periods, history=history)
        return forecast.head(asked.query.horizon)

    def _of_given(self, query: Any) -> pd.DataFrame:
        import pandas as pd

        from ml.methods.demand_data import own_frequency

        rows = pd.DataFrame(
            {
                "series_id": query.series_id or "given",
                "observed_at": [
                    moment("observed_at", item.observed_at, "history", place, "observed_at")
                    for place, item in enumerate(query.history)
                ],
                "value": [item.value for item in query.history],
            }
        )
        try:
            panel = own_frequency(rows)
            forecaster = self.spec.estimator_class()(
                horizon=query.horizon, prophet=False, gaps=panel.gaps
            )
            forecaster.fit(panel.frame, panel.freq, panel.season_length)
        except (ValueError, TypeError, OverflowError) as error:
            raise QueryError(
                f"the history cannot be forecast: {error}", pointer("history")
            ) from error
        forecast: pd.DataFrame = forecaster.predict(query.horizon)
        return forecast
