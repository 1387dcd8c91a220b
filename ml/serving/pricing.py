"""Pricing on demand: the next price within the caller's guardrails, and the curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.methods.price_rules import Bounds, Row, decided, entity, load_prices
from ml.serving.base import Answer, Asked, Features, QueryError, Serving
from ml.serving.checks import pointer
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec

_GIVEN = ("unit_cost", "min_price", "max_price", "max_change")


class PricingServing(Serving):
    """Elasticities or win curves, whichever the version learned."""

    asked_by: ClassVar[tuple[str, ...]] = ("service_id", "segment")

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.prices = load_prices(folder)

    @staticmethod
    def entity_of(query: Any) -> str | None:
        return entity(query.service_id, query.segment)

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        service, segment = (entity or "none\x1fall").split("\x1f", 1)
        return {"service_id": service, "segment": segment}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        query = asked.query
        if asked.stored is None:
            raise QueryError(
                f"service {query.service_id!r} in segment {query.segment!r} was neither sold"
                " nor quoted in the last year, so its current price is unknown",
                "/service_id",
            )
        given = [name for name in _GIVEN if getattr(query, name) is not None]
        row = dict(asked.stored)
        if query.unit_cost is not None:
            row["unit_cost"] = query.unit_cost
        bounds = Bounds(
            query.max_change or self.settings.max_price_change, query.min_price, query.max_price
        )
        decision = decided(row, self.prices.recommend(row, bounds))
        if not reasons:
            decision["reasons"] = None
        detail: dict[str, Any] = {"yearly_quantity": row["yearly_quantity"]}
        if query.prices:
            detail["curve"] = self._curve(row, query.prices)
        return Answer(
            (decision,),
            stored=tuple(sorted(set(row) - set(given))),
            given=(*given, *(("prices",) if query.prices else ())),
            detail=detail,
        )

    def _curve(self, row: Row, prices: Sequence[float]) -> list[dict[str, float]]:
        try:
            with np.errstate(all="ignore"):
                curve = self.prices.curve(row, prices)
        except ValueError as error:
            raise QueryError(str(error), "/prices") from error
        far = ~np.isfinite(list(curve.values())).all(axis=0)
        if far.any():
            at = int(far.argmax())
            raise QueryError(
                f"{prices[at]:g} is too far from the current price {row['current_price']:g}",
                pointer("prices", at),
            )
        points = zip(*(values.tolist() for values in curve.values()), strict=True)
        return [dict(zip(curve, point, strict=True)) for point in points]
