"""A LightGBM model as a BentoML service: ``bentoml serve bentoml_service:Trees``.

It reads ``PEER_MODEL``, a model in LightGBM's text format. The method is ``async``, which spares
each request the way through a thread.
"""

import os

import bentoml
import lightgbm
import numpy as np


@bentoml.service(workers=1)
class Trees:
    """Probabilities of rows of numbers."""

    def __init__(self) -> None:
        self.booster = lightgbm.Booster(model_file=os.environ["PEER_MODEL"])

    @bentoml.api
    async def predict(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, columns) to probabilities (n,)."""
        return self.booster.predict(rows)
