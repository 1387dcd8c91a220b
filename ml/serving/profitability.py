"""Profitability on demand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ml.methods.client_rules import margin_columns
from ml.serving.clients import ClientServing


class ProfitabilityServing(ClientServing):
    """Expected margin of clients with its interval, one or many."""

    def decided(self, matrix: np.ndarray) -> Mapping[str, np.ndarray]:
        return margin_columns(self.estimator, self.facts, matrix)
