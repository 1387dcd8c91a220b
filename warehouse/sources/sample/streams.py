"""Random streams of the sample firm: every draw is a pure function of (seed, stream, coordinates).

A sequential generator would make a draw depend on how many were drawn before it, and so on the
last day asked for. Here a draw is a hash of its coordinates (splitmix64, Steele, Lea and Flood
2014), so that the firm of one day later is the same firm with one more day.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64; works in place on a fresh array."""
    mixed = state + _GAMMA
    mixed ^= mixed >> _S30
    mixed *= _MULTIPLY_1
    mixed ^= mixed >> _S27
    mixed *= _MULTIPLY_2
    mixed ^= mixed >> _S31
    return mixed


@dataclass(frozen=True)
class Streams:
    """Named streams of one seed. Coordinates are whole numbers and broadcast like NumPy arrays."""

    seed: int

    def _bits(self, name: str, coordinates: tuple[Any, ...]) -> npt.NDArray[np.uint64]:
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        state = np.array([int.from_bytes(digest, "little")], dtype=np.uint64)
        for coordinate in coordinates:
            state = _mix(state ^ (np.atleast_1d(coordinate).astype(np.uint64) * _MULTIPLY_2))
        return state

    def uniform(self, name: str, *coordinates: Any) -> Floats:
        """Uniform in the open interval (0, 1), of the coordinates' broadcast shape."""
        bits = self._bits(name, coordinates) >> _S11
        values = bits.astype(np.float64)
        values += 0.5
        values *= 2.0**-53
        return values

    def normal(self, name: str, *coordinates: Any) -> Floats:
        """Standard normal, of the coordinates' broadcast shape."""
        return np.asarray(ndtri(self.uniform(name, *coordinates)))

    def whole(self, name: str, below: int, *coordinates: Any) -> Ints:
        """Whole numbers from 0 to ``below - 1``."""
        return (self.uniform(name, *coordinates) * below).astype(np.int64)
