"""LightGBM's trees read and asked through its C library alone, without the Python package.

The package takes seconds and a hundred megabytes to import; a server that only predicts needs
neither. Training still goes through the package, and both use one copy of the library.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ml.estimators.threads import num_threads

_FLOAT64 = 1
_ROW_MAJOR = 1
_RAW, _CONTRIBUTIONS = 1, 3
_NAMES = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")


class TreesError(RuntimeError):
    """LightGBM's library refused a model or a call; the message is its own."""


class Trees:
    """A model in LightGBM's text format that predicts float64 matrices in C order.

    May be called from several threads at once. A single row takes LightGBM's own short way, one
    call at a time, with the same bits as among others; more rows let other threads run meanwhile.
    """

    def __init__(self, text: str) -> None:
        """Read the text that training saved; TreesError where it is none."""
        self._library = library = _library()
        self._handle: Any = None
        self._fast: Any = None
        handle, rounds, features = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
        _check(
            library.LGBM_BoosterLoadModelFromString(
                text.encode(), ctypes.byref(rounds), ctypes.byref(handle)
            )
        )
        self._handle = handle
        _check(library.LGBM_BoosterGetNumFeature(handle, ctypes.byref(features)))
        self.count = rounds.value
        self.columns = features.value
        self._lock = threading.Lock()
        self._row = np.empty(self.columns)
        self._out = np.empty(1)
        self._arguments: tuple[Any, ...] = ()

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The raw sum of the trees, matrix of shape (rows, columns) to (rows,)."""
        if not len(matrix) or not self.count:
            return np.zeros(len(matrix))
        if len(matrix) == 1:
            return np.array([self.one(matrix[0])])
        return self._predict(matrix, _RAW, 1)[:, 0]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """SHAP values of each column and, last, their base: shape (rows, columns + 1)."""
        if not len(matrix) or not self.count:
            return np.zeros((len(matrix), self.columns + 1))
        return self._predict(matrix, _CONTRIBUTIONS, self.columns + 1)

    def one(self, row: np.ndarray) -> float:
        """The raw sum of the trees for one row (columns,)."""
        if not self.count:
            return 0.0
        with self._lock:
            if self._fast is None:
                self._prepare()
            self._row[:] = row
            if _single()(*self._arguments):
                _check(-1)
            return float(self._out[0])

    def _predict(self, matrix: np.ndarray, kind: int, width: int) -> np.ndarray:
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        out, length = np.empty((len(matrix), width)), ctypes.c_int64()
        _check(
            self._library.LGBM_BoosterPredictForMat(
                self._handle,
                ctypes.c_void_p(matrix.ctypes.data),
                _FLOAT64,
                ctypes.c_int32(len(matrix)),
                ctypes.c_int32(matrix.shape[1]),
                _ROW_MAJOR,
                kind,
                0,
                -1,
                f"num_threads={num_threads()}".encode(),
                ctypes.byref(length),
                ctypes.c_void_p(out.ctypes.data),
            )
        )
        if length.value != out.size:
            raise TreesError(f"LightGBM gave {length.value} values, {out.size} were expected")
        return out

    def _prepare(self) -> None:
        """LightGBM's own preparation of a call for one row, and what every call passes."""
        fast = ctypes.c_void_p()
        _check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle,
                _RAW,
                0,
                -1,
                _FLOAT64,
                ctypes.c_int32(self.columns),
                b"num_threads=1",
                ctypes.byref(fast),
            )
        )
        self._fast, length = fast, ctypes.c_int64()
        self._arguments = (
            fast,
            ctypes.c_void_p(self._row.ctypes.data),
            ctypes.byref(length),
            ctypes.c_void_p(self._out.ctypes.data),
        )

    def __del__(self) -> None:
        if self._fast is not None:
            self._library.LGBM_FastConfigFree(self._fast)
        if self._handle is not None:
            self._library.LGBM_BoosterFree(self._handle)


@cache
def _library() -> ctypes.CDLL:
    """The library inside the installed package, whose Python side stays unloaded."""
    library = ctypes.CDLL(str(_path()))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


@cache
def _single() -> Any:
    """The call for one row, which keeps Python's lock: it takes microseconds, and waiting for a
    busy thread to hand the lock back would take milliseconds."""
    return ctypes.PyDLL(str(_path())).LGBM_BoosterPredictForMatSingleRowFast


def _path() -> Path:
    spec = find_spec("lightgbm")
    if spec is None or spec.origin is None:
        raise TreesError("lightgbm is not installed; run `make` to set the project up")
    package = Path(spec.origin).parent
    places = [package / folder / name for folder in ("lib", "bin", ".") for name in _NAMES]
    for place in places:
        if place.is_file():
            return place
    raise TreesError(f"LightGBM's library is not in {package}; install lightgbm again")


def _check(code: int) -> None:
    if code:
        raise TreesError(f"LightGBM: {_library().LGBM_GetLastError().decode()}")
