"""The base of what a worker process answers, with pandas and all that the method itself loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ml.models.spec import load
from ml.serving.base import Serving
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec


class FittingServing(Serving):
    """What the method's own ``load`` gives; importing this module alone loads nothing of it."""

    fits: ClassVar[bool] = True

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.fitted: Any = load(spec.method)(spec, settings).load(folder)
