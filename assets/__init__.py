"""The Dagster assets, one file a step, each a factory over the model registry."""

import warnings

from dagster import BetaWarning

# Backfills of many days in one run are what the assets are built for; the parameter is beta.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", BetaWarning)
