"""The four detectors that RowDetector averages, each small, seeded and held in plain arrays.

Isolation trees (Liu and others, 2008), the distance to the nearest row of many small samples
(LeSiNN, Pang and others, 2015), the Mahalanobis distance, and the local outlier factor (Breunig
and others, 2000) against a bounded reference.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np

_CHUNK = 2048
_EULER = 0.5772156649015329


class Detector(Protocol):
    """Scores rows; higher is more anomalous, all positive."""

    def score(self, Z: np.ndarray) -> np.ndarray:
        """Z of shape (rows, columns) to scores of shape (rows,)."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole state."""


class IsolationTrees:
    """Random splits isolate odd rows early: the score is 2 ** -(mean depth / usual depth)."""

    def __init__(self, column: np.ndarray, split: np.ndarray, left: np.ndarray, usual: float):
        # Shape (trees, nodes). A leaf has column -1 and, as its split, the depth it stands for.
        self.column, self.split, self.left, self.usual = column, split, left, usual

    @classmethod
    def fit(cls, Z: np.ndarray, trees: int, sample: int, rng: np.random.Generator) -> Self:
        """Grow ``trees`` trees, each on ``sample`` rows drawn without replacement."""
        sample = min(sample, len(Z))
        limit = int(np.ceil(np.log2(max(sample, 2))))
        grown = [
            _grow(Z[rng.choice(len(Z), sample, replace=False)], limit, rng) for _ in range(trees)
        ]
        width = max(len(tree[0]) for tree in grown)
        column, split, left = (
            np.stack([np.pad(tree[part], (0, width - len(tree[part]))) for tree in grown])
            for part in range(3)
        )
        return cls(column, split, left, max(float(_usual_depth(np.array(sample))), 1e-9))

    def score(self, Z: np.ndarray) -> np.ndarray:
        """Scores in (0, 1]."""
        out = np.empty(len(Z))
        trees = np.arange(len(self.column))[None, :]
        for start in range(0, len(Z), _CHUNK):
            part = Z[start : start + _CHUNK]
            rows = np.arange(len(part))[:, None]
            node = np.zeros((len(part), len(self.column)), dtype=np.int64)
            column = self.column[trees, node]
            while (column >= 0).any():
                value = part[rows, np.maximum(column, 0)]
                below = self.left[trees, node] + (value >= self.split[trees, node])
                node = np.where(column >= 0, below, node)
                column = self.column[trees, node]
            depth = self.split[trees, node].mean(axis=1)
            out[start : start + _CHUNK] = 2.0 ** (-depth / self.usual)
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """The trees."""
        return {
            "column": self.column,
            "split": self.split,
            "left": self.left,
            "usual": np.array(self.usual),
        }

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> Self:
        """What ``arrays`` gave."""
        return cls(arrays["column"], arrays["split"], arrays["left"], float(arrays["usual"]))


def _usual_depth(rows: np.ndarray) -> np.ndarray:
    """Mean depth of an unsuccessful search in a binary tree of that many rows."""
    many = np.maximum(rows, 3).astype(np.float64)
    depth = 2.0 * (np.log(many - 1.0) + _EULER) - 2.0 * (many - 1.0) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, depth))


def _grow(
    Z: np.ndarray, limit: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    column, split, left = [-1], [0.0], [0]
    waiting = [(0, np.arange(len(Z)), 0)]
    while waiting:
        node, rows, depth = waiting.pop()
        part = Z[rows]
        low, high = part.min(axis=0), part.max(axis=0)
        varied = np.nonzero(high > low)[0]
        if depth >= limit or len(rows) <= 1 or not len(varied):
            split[node] = depth + float(_usual_depth(np.array(len(rows))))
            continue
        chosen = int(varied[rng.integers(len(varied))])
        at = float(rng.uniform(low[chosen], high[chosen]))
        above = part[:, chosen] >= at
        if above.all():  # the draw fell on the least value
            at = float(np.nextafter(low[chosen], high[chosen]))
            above = part[:, chosen] >= at
        column[node], split[node], left[node] = chosen, at, len(column)
        for side in (~above, above):
            waiting.append((len(column), rows[side], depth + 1))
            column.append(-1)
            split.append(0.0)
            left.append(0)
    return np.array(column), np.array(split), np.array(left)


class NearestInSamples:
    """Mean distance to the nearest row of each of many small samples: crowded anomalies, which
    shield each other from a plain nearest-neighbour search, stand out here."""

    def __init__(self, samples: np.ndarray):
        self.samples = samples  # (samples, rows of each, columns)

    @classmethod
    def fit(cls, Z: np.ndarray, samples: int, size: int, rng: np.random.Generator) -> Self:
        """Draw the samples."""
        size = max(1, min(size, len(Z) // 4))
        return cls(np.stack([Z[rng.choice(len(Z), size, replace=False)] for _ in range(samples)]))

    def score(self, Z: np.ndarray) -> np.ndarray:
        """Mean Euclidean distances."""
        count, size, columns = self.samples.shape
        flat = self.samples.reshape(-1, columns)
        out = np.empty(len(Z))
        for start in range(0, len(Z), _CHUNK):
            square = _squares(Z[start : start + _CHUNK], flat)
            nearest = square.reshape(len(square), count, size).min(axis=2)
            out[start : start + _CHUNK] = np.sqrt(nearest).mean(axis=1)
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """The samples."""
        return {"samples": self.samples}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> Self:
        """What ``arrays`` gave."""
        return cls(arrays["samples"])


class Mahalanobis:
    """Squared distance from the mean, in deviations along the correlated directions."""

    def __init__(self, centre: np.ndarray, whiten: np.ndarray):
        self.centre, self.whiten = centre, whiten

    @classmethod
    def fit(cls, Z: np.ndarray) -> Self:
        """Covariance with a ridge of 0.001, so that constant columns do no harm."""
        centre = Z.mean(axis=0)
        covariance = (Z - centre).T @ (Z - centre) / max(len(Z) - 1, 1)
        values, vectors = np.linalg.eigh(covariance)
        return cls(centre, vectors / np.sqrt(np.maximum(values, 0.0) + 1e-3))

    def score(self, Z: np.ndarray) -> np.ndarray:
        """Squared distances."""
        return np.asarray((((Z - self.centre) @ self.whiten) ** 2).sum(axis=1))

    def arrays(self) -> dict[str, np.ndarray]:
        """Centre and whitening matrix."""
        return {"centre": self.centre, "whiten": self.whiten}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> Self:
        """What ``arrays`` gave."""
        return cls(arrays["centre"], arrays["whiten"])


class LocalOutlierFactor:
    """How much thinner a row's surroundings are than those of its neighbours in the reference."""

    def __init__(self, reference: np.ndarray, radius: np.ndarray, density: np.ndarray, k: int):
        self.reference, self.radius, self.density, self.k = reference, radius, density, k

    @classmethod
    def fit(cls, Z: np.ndarray, reference: int, k: int, rng: np.random.Generator) -> Self:
        """Keep at most ``reference`` rows, drawn at random."""
        if len(Z) > reference:
            Z = Z[np.sort(rng.choice(len(Z), reference, replace=False))]
        k = max(1, min(k, len(Z) - 1))
        near, distance = _nearest(Z, Z, k)
        radius = distance[:, -1]
        reach = np.maximum(distance, radius[near])
        return cls(Z, radius, 1.0 / (reach.mean(axis=1) + 1e-6), k)

    def score(self, Z: np.ndarray) -> np.ndarray:
        """Factors; about 1 is usual."""
        near, distance = _nearest(Z, self.reference, self.k)
        reach = np.maximum(distance, self.radius[near])
        own = 1.0 / (reach.mean(axis=1) + 1e-6)
        return np.asarray(self.density[near].mean(axis=1) / own)

    def arrays(self) -> dict[str, np.ndarray]:
        """The reference with its densities."""
        return {
            "reference": self.reference,
            "radius": self.radius,
            "density": self.density,
            "k": np.array(self.k),
        }

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> Self:
        """What ``arrays`` gave."""
        return cls(arrays["reference"], arrays["radius"], arrays["density"], int(arrays["k"]))


def _squares(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    square = (A**2).sum(axis=1)[:, None] - 2.0 * (A @ B.T) + (B**2).sum(axis=1)[None, :]
    return np.maximum(square, 0.0)


def _nearest(Z: np.ndarray, reference: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and distances, nearest first; one reference row equal to the row counts as itself."""
    near, distance = np.empty((len(Z), k), dtype=np.int64), np.empty((len(Z), k))
    take = min(k + 1, len(reference))
    for start in range(0, len(Z), _CHUNK):
        square = _squares(Z[start : start + _CHUNK], reference)
        some = np.argpartition(square, take - 1, axis=1)[:, :take]
        found = np.take_along_axis(square, some, axis=1)
        order = np.lexsort((some, found), axis=1)
        some, found = np.take_along_axis(some, order, 1), np.take_along_axis(found, order, 1)
        if take > k:
            itself = (found[:, 0] < 1e-9)[:, None]
            some = np.where(itself, some[:, 1:], some[:, :-1])
            found = np.where(itself, found[:, 1:], found[:, :-1])
        near[start : start + _CHUNK], distance[start : start + _CHUNK] = some, np.sqrt(found)
    return near, distance
