"""The open data sets' table: one module a model, each measured only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from ml.evaluation.result import Result

Evaluation = Callable[[Path], Sequence[Result]]

_MODELS = ("churn", "profitability", "revenue_leak", "pricing", "budget", "demand", "anomaly")


def _lazy(model: str) -> Evaluation:
    def evaluate(data: Path) -> Sequence[Result]:
        found: Evaluation = import_module(f"ml.evaluation.{model}").evaluate
        return found(data)

    return evaluate


EVALUATIONS: Mapping[str, Evaluation] = MappingProxyType({name: _lazy(name) for name in _MODELS})
"""By model: a function of the folder of data sets; its module is imported by the first call."""


def run(
    data: Path,
    models: Sequence[str] | None = None,
    on_start: Callable[[str], None] | None = None,
    evaluations: Mapping[str, Evaluation] = EVALUATIONS,
) -> list[Result]:
    """Measure these models (default: all) on the data sets in the folder ``data``.

    A model whose data set is absent gives one skipped row that says which. ``on_start`` is
    called with each model's name before it is measured. Raises ValueError on an unknown model
    and FileNotFoundError where ``data`` itself is no folder.
    """
    if not data.is_dir():
        raise FileNotFoundError(f"{data} is no folder: give the folder that holds the data sets")
    names = list(evaluations) if models is None else list(models)
    unknown = [name for name in names if name not in evaluations]
    if unknown:
        raise ValueError(f"no evaluation for {unknown}; there are {list(evaluations)}")
    results: list[Result] = []
    for name in names:
        if on_start is not None:
            on_start(name)
        try:
            found = list(evaluations[name](data))
        except FileNotFoundError as error:
            found = [Result.skip(name, str(error))]
        results += found
    return results
