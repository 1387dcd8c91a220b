"""The registry of models: the one list that assets, routes, tables and docs are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from ml.models.spec import ModelSpec, load

MODELS = (
    "ml.models.profitability:SPEC",
    "ml.models.churn:SPEC",
    "ml.models.revenue_leak:SPEC",
    "ml.models.pricing:SPEC",
    "ml.models.budget:SPEC",
    "ml.models.demand:SPEC",
    "ml.models.anomaly:SPEC",
)


class UnknownModelError(LookupError):
    """No model of that name; the message lists the ones there are."""


class Registry(Mapping[str, ModelSpec]):
    """Models by name, in the order they were declared; a name given twice is an error."""

    def __init__(self, specs: Sequence[ModelSpec]) -> None:
        self._specs: dict[str, ModelSpec] = {}
        for spec in specs:
            if spec.name in self._specs:
                raise ValueError(f"two models are named {spec.name!r}")
            self._specs[spec.name] = spec

    def __getitem__(self, name: str) -> ModelSpec:
        """The model of that name, with hyphens or underscores."""
        try:
            return self._specs[name.replace("-", "_")]
        except KeyError:
            known = ", ".join(spec.route for spec in self._specs.values())
            raise UnknownModelError(f"there is no model {name!r}; there are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def select(self, names: str | None) -> list[ModelSpec]:
        """The models of a comma-separated list; all of them for None."""
        if names is None:
            return list(self._specs.values())
        return [self[name.strip()] for name in names.split(",") if name.strip()]


@cache
def default_registry() -> Registry:
    """The registry of all models in ``MODELS``."""
    return Registry([load(path) for path in MODELS])
