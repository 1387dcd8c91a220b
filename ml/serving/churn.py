"""Churn on demand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ml.methods.client_rules import churn_columns
from ml.serving.clients import ClientServing


class ChurnServing(ClientServing):
    """Probability, band and margin at risk of clients, one or many."""

    def decided(self, matrix: np.ndarray) -> Mapping[str, np.ndarray]:
        return churn_columns(self.estimator, self.facts, matrix)
