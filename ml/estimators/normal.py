"""Quantiles of the normal distribution from the standard library: no SciPy where it answers."""

from __future__ import annotations

from statistics import NormalDist

_NORMAL = NormalDist()


def quantile(share: float) -> float:
    """Where the standard normal distribution's lower ``share`` (in (0, 1)) ends."""
    return _NORMAL.inv_cdf(share)


def reach(coverage: float) -> float:
    """Half the width, in deviations, of the central interval that holds ``coverage``."""
    return quantile(0.5 + coverage / 2)
