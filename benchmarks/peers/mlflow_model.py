"""Saves a LightGBM model as ``mlflow models serve`` takes it: ``mlflow_model.py TEXT FOLDER``."""

import sys

import lightgbm
import mlflow.lightgbm

mlflow.lightgbm.save_model(lightgbm.Booster(model_file=sys.argv[1]), sys.argv[2])
