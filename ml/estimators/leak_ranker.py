"""The chance that a cheap line is a mistake, learned from mistakes put into a copy of the lines.

No labels are needed: a booster tells lines with injected mistakes from the lines as they are. Its
odds are the ratio of two densities, and that ratio times the share of real mistakes gives the odds
that a line is one. Lines that look like the injected ones stay out of a second fit and give that
share: learning from positive and unlabelled rows with spies, after Liu and others (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ml.estimators.leak_prices import FEATURES, PriceBook
from ml.estimators.threads import num_threads
from ml.estimators.trees import Trees

_SHARE = 0.015
_LEAST_SHARE, _MOST_SHARE = 0.001, 0.05
_LEAST_ROWS, _LEAST_INJECTED = 400, 4
# More lines than these teach the booster nothing that it would not learn from them.
_MOST_NEGATIVES, _MOST_INJECTED = 125_000, 20_000
_ROUNDS, _FIRST_ROUNDS = 200, 100
_LEAST_RATIO = 20.0


@dataclass(frozen=True)
class Examples:
    """Features of lines as they are and of injected mistakes, and the state of the draws."""

    good: np.ndarray
    bad: np.ndarray
    rng: np.random.Generator

    @classmethod
    def of(cls, book: PriceBook, seed: int) -> Examples | None:
        """Some of the lines of ``book``, with and without mistakes; None below 400 lines."""
        price = book.lines.price
        if len(price) < _LEAST_ROWS:
            return None
        rng = np.random.default_rng(seed)
        mistaken, spoiled = inject(price, rng)
        if mistaken.sum() < _LEAST_INJECTED:
            return None
        wrong, fine = np.nonzero(mistaken)[0], np.nonzero(price > 0)[0]
        if len(fine) > _MOST_NEGATIVES:
            fine = fine[np.sort(rng.choice(len(fine), _MOST_NEGATIVES, False))]
        if len(wrong) > _MOST_INJECTED:
            wrong = wrong[np.sort(rng.choice(len(wrong), _MOST_INJECTED, False))]
        return cls(book.features(fine), book.priced(spoiled).features(wrong), rng)


@dataclass(frozen=True)
class PriceRanker:
    """``text`` is LightGBM's model, ``odds`` turns its odds into a density ratio, ``share`` is the
    share of real mistakes among the lines."""

    text: str
    odds: float
    share: float

    @classmethod
    def fit(cls, examples: Examples | None, seed: int) -> PriceRanker | None:
        """Learn to tell injected mistakes from the lines as they are; None without examples."""
        if examples is None:
            return None
        features, bad, rng = examples.good, examples.bad, examples.rng
        good_ratio, bad_ratio = _held_out_ratios(features, bad, rng, seed)
        # Real mistakes among the lines as they are would teach that mistakes are fine, so lines
        # that look like nine in ten of the injected ones stay out.
        level = max(float(np.quantile(bad_ratio, 0.1)), _LEAST_RATIO)
        suspect = good_ratio >= level
        caught = max(float((bad_ratio >= level).mean()), 0.1)
        share = float(np.clip(suspect.mean() / caught, _LEAST_SHARE, _MOST_SHARE))
        clean = features[~suspect]
        text = _train(np.vstack([clean, bad]), len(clean), seed, _ROUNDS)
        return cls(text, len(clean) / len(bad), share)

    def ratio(self, features: np.ndarray) -> np.ndarray:
        """Density among injected mistakes over density among the lines as they are."""
        raw = self._trees.predict(features)
        return np.asarray(np.exp(np.clip(raw, -30, 30)) * self.odds)

    @cached_property
    def _trees(self) -> Trees:
        return Trees(self.text)

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Chance that each priced line is a mistake, shape (rows,)."""
        strength = self.ratio(features) * self.share
        return strength / (1.0 + strength)

    def save(self, folder: Path) -> dict[str, float]:
        """Write the booster; returns the JSON-ready rest."""
        (folder / "ranker.txt").write_text(self.text)
        return {"odds": self.odds, "share": self.share}

    @classmethod
    def load(cls, folder: Path, state: dict[str, float]) -> PriceRanker:
        """What ``save`` wrote."""
        return cls((folder / "ranker.txt").read_text(), state["odds"], state["share"])


def inject(price: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which lines were spoiled, and the prices with theirs cut to 45 to 95 %, to the cent."""
    draw = rng.random(len(price))
    low = np.round(price * rng.uniform(0.45, 0.95, len(price)), 2)
    mistaken = (draw < _SHARE) & (low > 0) & (low < price)
    return mistaken, np.where(mistaken, low, price)


def _held_out_ratios(
    good: np.ndarray, bad: np.ndarray, rng: np.random.Generator, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Density ratios of lines as they are and of injected mistakes, by a model of the others."""
    good_fold, bad_fold = rng.integers(0, 2, len(good)), rng.integers(0, 2, len(bad))
    good_ratio, bad_ratio = np.empty(len(good)), np.empty(len(bad))
    for fold in (0, 1):
        learn, other = good[good_fold != fold], bad[bad_fold != fold]
        text = _train(np.vstack([learn, other]), len(learn), seed, _FIRST_ROUNDS)
        model = PriceRanker(text, len(learn) / max(len(other), 1), 0.0)
        good_ratio[good_fold == fold] = model.ratio(good[good_fold == fold])
        bad_ratio[bad_fold == fold] = model.ratio(bad[bad_fold == fold])
    return good_ratio, bad_ratio


def _train(matrix: np.ndarray, good: int, seed: int, rounds: int) -> str:
    import lightgbm as lgb

    labels = np.r_[np.zeros(good), np.ones(len(matrix) - good)]
    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.05,
        "min_child_samples": 40,
        "lambda_l2": 5.0,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads(),
        "verbose": -1,
    }
    data = lgb.Dataset(matrix, labels, feature_name=list(FEATURES), free_raw_data=True)
    return str(lgb.train(parameters, data, num_boost_round=rounds).model_to_string())
