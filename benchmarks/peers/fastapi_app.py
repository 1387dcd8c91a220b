"""A LightGBM model behind FastAPI as most write it: pydantic, a DataFrame, scikit-learn's wrapper.

``uvicorn fastapi_app:app`` reads ``PEER_MODEL``, a model in LightGBM's text format. It is kind to
this peer: the caller sends ready numbers, so that no category has to be encoded here.
"""

from __future__ import annotations

import os

import lightgbm
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, create_model


def wrapped(booster: lightgbm.Booster) -> lightgbm.LGBMClassifier:
    """The scikit-learn wrapper as a pickle would bring it back, around trees that are there."""
    width = booster.num_feature()
    rows = np.zeros((2, width))
    model = lightgbm.LGBMClassifier(n_estimators=1, n_jobs=1, verbose=-1).fit(rows, [0, 1])
    model._Booster = booster  # the wrapper has no other way to take trees that exist
    return model


MODEL = wrapped(lightgbm.Booster(model_file=os.environ["PEER_MODEL"]))
COLUMNS = MODEL.booster_.feature_name()
Features = create_model("Features", **dict.fromkeys(COLUMNS, (float | None, None)))
app = FastAPI()


class Answer(BaseModel):
    """What a caller gets."""

    probability: float


@app.post("/predict")
async def predict(features: Features) -> Answer:
    """The probability of one row."""
    frame = pd.DataFrame([features.model_dump()], columns=COLUMNS, dtype=float)
    return Answer(probability=float(MODEL.predict_proba(frame)[0, 1]))
