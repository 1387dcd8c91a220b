"""Demand on open data: the M4 competition's weekly series, and Prophet's own examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.estimators.demand import DemandForecaster
from ml.evaluation.result import Result

_WEEKLY_HORIZON = 13
_WEEKLY_PUBLISHED = (
    "naive 9.161/2.777, Theta 9.093/2.637, Comb 8.944/2.432, Damped 8.866/2.404,"
    " Smyl (winner) 7.817/2.356, Montero-Manso 7.625/2.108, Petropoulos 6.726/2.133"
)
_WEEKLY_PROTOCOL = (
    "all 359 series, the competition's 13 test weeks, fitted once on the training part; weights"
    " by series from rolling origins within it (3 windows of 13 weeks); season 52, no dates, no"
    " Prophet; {metric} as M4 defines it; published are sMAPE/MASE"
)
_EXAMPLES = (
    ("air_passengers", "MS", 12, 24, "Prophet 5.54, seasonal naive 17.01"),
    ("retail_sales", "MS", 12, 24, "Prophet 2.78, AutoETS 1.35, AutoARIMA 1.01"),
    ("wp_log_peyton_manning", "D", 365, 365, "Prophet 5.25, same day last year 7.77"),
)


def evaluate(data: Path) -> list[Result]:
    """Measure on ``m4_weekly`` and ``prophet_examples`` within the folder ``data``.

    Raises FileNotFoundError naming the data set that is not there.
    """
    return [*_m4_weekly(_folder(data, "m4_weekly")), *_examples(_folder(data, "prophet_examples"))]


def smape(actual: np.ndarray, forecast: np.ndarray) -> float:
    """Symmetric error in percent, 0 to 200, as M4 defines it (Makridakis et al. 2020)."""
    return float(200 * np.mean(np.abs(actual - forecast) / (np.abs(actual) + np.abs(forecast))))


def mase(actual: np.ndarray, forecast: np.ndarray, training: np.ndarray, season: int) -> float:
    """Mean absolute error over that of seasonal naive within ``training``, as M4 defines it."""
    scale = np.abs(training[season:] - training[:-season]).mean()
    return float(np.abs(actual - forecast).mean() / scale)


def m4_figures(train: pd.DataFrame, test: pd.DataFrame, forecast: pd.DataFrame) -> dict[str, float]:
    """Mean ``sMAPE`` and ``MASE`` (season 1, as M4 took for weeks) over the series of ``test``.

    ``train`` and ``test`` hold series_id, t and y; ``forecast`` unique_id, ds (as t) and yhat.
    """
    history = {name: part["y"].to_numpy() for name, part in train.groupby("series_id")}
    both = test.merge(forecast, left_on=["series_id", "t"], right_on=["unique_id", "ds"])
    if len(both) != len(test):
        raise ValueError(f"{len(test)} values to forecast, but {len(both)} forecasts fit them")
    parts = [
        (part["y"].to_numpy(), part["yhat"].to_numpy(), history[name])
        for name, part in both.groupby("series_id")
    ]
    return {
        "sMAPE": float(np.mean([smape(y, f) for y, f, _ in parts])),
        "MASE": float(np.mean([mase(y, f, past, 1) for y, f, past in parts])),
    }


def _m4_weekly(folder: Path) -> list[Result]:
    train = pd.read_parquet(folder / "train.parquet")
    test = pd.read_parquet(folder / "test.parquet")
    # The test part may count on from the training part, or begin at 1.
    if int(test["t"].min()) == 1:
        ends = train.groupby("series_id")["t"].max()
        test = test.assign(t=test["t"] + test["series_id"].map(ends))
    model = DemandForecaster(horizon=_WEEKLY_HORIZON, windows=3, prophet=False)
    model.fit(train.rename(columns={"series_id": "unique_id", "t": "ds"}), 1, 52)
    figures = m4_figures(train, test, model.predict(_WEEKLY_HORIZON, level=()))
    return [
        Result(
            dataset="m4_weekly",
            model="demand",
            metric=metric,
            ours=figures[metric],
            floor=floor,
            published=_WEEKLY_PUBLISHED,
            protocol=_WEEKLY_PROTOCOL.format(metric=metric),
            higher_is_better=False,
        )
        for metric, floor in (("sMAPE", 8.9), ("MASE", 2.43))
    ]


def _examples(folder: Path) -> list[Result]:
    return [_example(folder, *example) for example in _EXAMPLES]


def _example(folder: Path, name: str, freq: str, season: int, last: int, published: str) -> Result:
    frame = pd.read_csv(folder / f"example_{name}.csv", parse_dates=["ds"]).sort_values("ds")
    frame = frame.assign(unique_id=name)
    training, test = frame.iloc[:-last], frame.iloc[-last:]
    model = DemandForecaster(horizon=last, windows=3, gaps="interpolate")
    model.fit(training, freq, season)
    ahead = len(pd.date_range(training["ds"].iloc[-1], test["ds"].iloc[-1], freq=freq)) - 1
    both: Any = test.merge(model.predict(ahead, level=()), on="ds")
    return Result(
        dataset=f"prophet_examples/{name}",
        model="demand",
        metric="sMAPE",
        ours=smape(both["y"].to_numpy(), both["yhat"].to_numpy()),
        floor=None,
        published=published,
        protocol=f"last {last} rows held out, fitted once before them, {last} steps ahead;"
        " candidates weighed by 3 rolling origins within the training part",
        higher_is_better=False,
    )


def _folder(data: Path, name: str) -> Path:
    folder = data / name
    if not folder.is_dir():
        raise FileNotFoundError(f"the data set {name} is not in {data}")
    return folder
