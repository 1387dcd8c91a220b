"""The jobs: ingestion, client features, and for each model its training and its day."""

from __future__ import annotations

from typing import TypeAlias

import dagster as dg

from assets.bulk import answer_file
from assets.features import FEATURES
from assets.ingest import RAW
from ml.models import ModelSpec
from orchestration.job_runs import BULK

JobDefinition: TypeAlias = "dg.JobDefinition | dg.UnresolvedAssetJobDefinition"
INGEST = "ingest_source"
CLIENT_FEATURES = "client_features"


def training_job_name(spec: ModelSpec) -> str:
    return f"{spec.name}_training"


def daily_job_name(spec: ModelSpec) -> str:
    return f"{spec.name}_daily"


def ingest_job() -> dg.UnresolvedAssetJobDefinition:
    """Raw tables from the source."""
    return dg.define_asset_job(
        INGEST,
        selection=dg.AssetSelection.groups(RAW),
        description="Read the source into the lake and judge its quality.",
    )


def features_job() -> dg.UnresolvedAssetJobDefinition:
    """A day of client features."""
    return dg.define_asset_job(
        CLIENT_FEATURES,
        selection=dg.AssetSelection.groups(FEATURES),
        description="Store a day of client features in the lake, for analysts and other tools."
        " Nothing here reads them.",
    )


def bulk_job() -> dg.JobDefinition:
    """A file of questions, answered row by row."""

    @dg.job(
        name=BULK,
        description="Answer the rows of a file that somebody sent. The sensor `bulk_files` starts"
        " it for each job that waits.",
    )
    def bulk_file() -> None:
        answer_file()

    return bulk_file


def training_job(spec: ModelSpec) -> dg.UnresolvedAssetJobDefinition:
    """Candidate and champion."""
    return dg.define_asset_job(
        training_job_name(spec),
        selection=dg.AssetSelection.assets([spec.name, "candidate"], [spec.name, "champion"]),
        description=f"Train {spec.title}, and promote the candidate if it passes the gate.",
    )


def daily_job(spec: ModelSpec) -> dg.UnresolvedAssetJobDefinition:
    """Scores, drift and performance of a day."""
    return dg.define_asset_job(
        daily_job_name(spec),
        selection=dg.AssetSelection.assets(
            *([spec.name, step] for step in ("scores", "drift", "performance"))
        ),
        description=f"Score a day of {spec.title}, and check drift and performance.",
    )
