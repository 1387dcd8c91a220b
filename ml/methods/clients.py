"""What churn, profitability and any model of "a client at a date" share.

Features are as known at month ends, labels lie in the horizon after them, and the judged months
are later than the training's by at least one horizon, so no label of one overlaps the other.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.estimators.folds import TooFewRowsError
from ml.methods.calendar import month_ends
from ml.methods.client_data import client_frame, first_event, sample_share
from ml.methods.frames import by_day, plain_records
from ml.methods.method import Frames, Judged, Method
from ml.refusals import NotEnoughDataError
from ml.settings import parse_reasons

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

FEATURES = "features"
JUDGED_MONTHS = 3
FOLDS = 5
WARM_UP_DAYS = 28
"""A snapshot before the firm's first month would see clients without a past."""
KEYS = ["client_id", "as_of"]


class FittedClients:
    """An estimator with the facts about its training that decisions need."""

    def __init__(self, estimator: Any, facts: Mapping[str, Any]) -> None:
        self.estimator = estimator
        self.facts = dict(facts)

    def save(self, folder: Path) -> None:
        """The estimator's files and ``facts.json``."""
        self.estimator.save(folder)
        (folder / "facts.json").write_text(json.dumps(self.facts, indent=2) + "\n")


class ClientMethod(Method):
    """Learns from monthly snapshots of clients; subclasses say what the label and decision are."""

    @abstractmethod
    def label(self, data: Snapshot, frame: pd.DataFrame, known: date) -> pd.Series:
        """The outcome of each row's horizon as known by ``known``; NaN where not observed."""

    @abstractmethod
    def facts(self, frame: pd.DataFrame, label: pd.Series) -> dict[str, Any]:
        """JSON-ready facts of a training that decisions read later."""

    @abstractmethod
    def predict(self, fitted: FittedClients, features: pd.DataFrame) -> pd.DataFrame:
        """The ``Decision`` columns except key and reasons, one row a feature row."""

    @abstractmethod
    def stake(self, decisions: pd.DataFrame) -> pd.Series:
        """How much money each decision is about; the top ones get reasons."""

    @abstractmethod
    def baseline(self, frame: pd.DataFrame) -> pd.Series:
        """What the naive baseline would have said."""

    def beside(self, fitted: FittedClients, features: pd.DataFrame) -> pd.DataFrame:
        """Further columns that judging needs and decisions do not hold; none by default."""
        return pd.DataFrame(index=features.index)

    def learn(self, data: Snapshot, as_of: date) -> FittedClients:
        days = self.labelled_days(data, as_of)[-self.settings.training_months :]
        if not days:
            raise self._too_short(data, as_of)
        frame = client_frame(data, days, self._share(data, days))
        return self._fit(frame, self.label(data, frame, as_of))

    def load(self, folder: Path) -> FittedClients:
        estimator = self.spec.estimator_class().load(folder)
        return FittedClients(estimator, json.loads((folder / "facts.json").read_text()))

    def labelled_days(self, data: Snapshot, as_of: date) -> list[date]:
        """Month ends whose horizon was fully observed by ``as_of``."""
        start = first_event(data) + timedelta(days=WARM_UP_DAYS)
        return month_ends(start, as_of - timedelta(days=self.spec.horizon_days))

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        frame = client_frame(data, days)
        parts = dict(by_day(frame))
        return {
            day: {FEATURES: parts.get(day, frame.iloc[:0]).reset_index(drop=True)} for day in days
        }

    def decide(
        self, fitted: FittedClients, inputs: Frames, day: date, reasons: str
    ) -> pd.DataFrame:
        features = inputs[FEATURES]
        decisions = self.predict(fitted, features)
        decisions.insert(0, "client_id", features["client_id"].to_numpy())
        decisions["reasons"] = self._reasons(fitted, features, decisions, reasons)
        return decisions

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        days = self.labelled_days(data, as_of)
        judged_days = [day for day in days if after is None or day > after][-JUDGED_MONTHS:]
        if not judged_days:
            if after is not None:
                return None
            raise self._too_short(data, as_of)
        horizon = timedelta(days=self.spec.horizon_days)
        learned = [day for day in days if day + horizon <= judged_days[0]]
        if fitted is None and not learned:
            return self._cross_validate(data, days, as_of)
        later = client_frame(data, judged_days)
        model = fitted or self.learn(data, judged_days[0])
        return Judged(self._judged(model, later, self.label(data, later, as_of)), "later months")

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        horizon = timedelta(days=self.spec.horizon_days)
        days = sorted(day for day in set(decisions["as_of"]) if day + horizon <= through)
        if not days:
            return None
        frame = client_frame(data, days)
        frame["outcome"] = self.label(data, frame, through).to_numpy()
        frame["baseline"] = self.baseline(frame).to_numpy()
        known = pd.concat(
            [frame[[*KEYS, "outcome", "baseline"]], self.beside(fitted, frame)], axis=1
        )
        judged = decisions.merge(known, on=KEYS).dropna(subset=["outcome"])
        return Judged(judged, "stored decisions") if len(judged) else None

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        features = inputs[FEATURES]
        return pd.DataFrame(
            {
                "entity": features["client_id"],
                "features": plain_records(features.drop(columns=KEYS)),
            }
        )

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        return inputs[FEATURES].drop(columns=[*KEYS])

    def _share(self, data: Snapshot, days: Sequence[date]) -> float:
        """Which share of the clients a training reads, so that its cost ends somewhere."""
        return sample_share(data, days, self.settings.max_training_rows)

    def _fit(self, frame: pd.DataFrame, label: pd.Series) -> FittedClients:
        known = label.notna().to_numpy()
        frame, label = frame[known], label[known]
        estimator = self.spec.estimator_class()()
        try:
            # A client's months are alike: on both sides of a fold they would hide overfitting.
            estimator.fit(frame.drop(columns=KEYS), label, groups=frame["client_id"])
        except TooFewRowsError as error:
            raise NotEnoughDataError(f"{self.spec.title}: {error}") from error
        return FittedClients(estimator, self.facts(frame, label))

    def _judged(
        self, fitted: FittedClients, frame: pd.DataFrame, outcome: pd.Series
    ) -> pd.DataFrame:
        judged = pd.concat(
            [
                frame[KEYS].reset_index(drop=True),
                self.predict(fitted, frame),
                self.beside(fitted, frame).reset_index(drop=True),
            ],
            axis=1,
        )
        judged["baseline"] = self.baseline(frame).to_numpy()
        judged["outcome"] = outcome.to_numpy()
        return judged.dropna(subset=["outcome"])

    def _cross_validate(self, data: Snapshot, days: Sequence[date], as_of: date) -> Judged:
        frame = client_frame(data, days, self._share(data, days))
        label = self.label(data, frame, as_of)
        clients = pd.util.hash_array(frame["client_id"].to_numpy(dtype=object)) % FOLDS
        folds = [
            self._judged(
                self._fit(frame[clients != fold], label[clients != fold]),
                frame[clients == fold],
                label[clients == fold],
            )
            for fold in range(FOLDS)
        ]
        return Judged(
            pd.concat(folds, ignore_index=True), f"{FOLDS}-fold cross-validation over clients"
        )

    def _reasons(
        self, fitted: FittedClients, features: pd.DataFrame, decisions: pd.DataFrame, mode: str
    ) -> list[Any]:
        limit = parse_reasons(mode)
        out: list[Any] = [None] * len(decisions)
        if limit == 0 or not len(decisions):
            return out
        order = np.argsort(-self.stake(decisions).abs().to_numpy(), kind="stable")[:limit]
        for position, reasons in zip(
            order, fitted.estimator.reasons(features.iloc[order]), strict=True
        ):
            out[position] = reasons
        return out

    def _too_short(self, data: Snapshot, as_of: date) -> NotEnoughDataError:
        needed = self.spec.horizon_days + WARM_UP_DAYS
        return NotEnoughDataError(
            f"{self.spec.title} learns from month ends followed by {self.spec.horizon_days} days:"
            f" the data from {first_event(data)} to {as_of} holds none; about {needed + 31} days"
            " are needed"
        )
