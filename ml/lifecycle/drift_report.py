"""Evidently's page of a model's drift, for people; verdicts come from ``ml.drift`` alone."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from ml.lifecycle.training import REFERENCE, REFERENCE_ROWS
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import NoChampionError, Refusal
from warehouse.database import reading
from warehouse.repositories import scores

DRIFTED_PSI = 0.1


def write_drift_report(workspace: Workspace, spec: ModelSpec) -> Path:
    """Compare the newest scored day's inputs with the champion's reference, column by column.

    At most 5,000 rows of the day, a seeded sample, since Evidently takes seconds for them.
    Raises Refusal where there is no champion, nothing was scored, or no column can be compared.
    """
    champion = workspace.champion(spec)
    if champion is None:
        raise NoChampionError(f"{spec.title} has no champion, so there is nothing to compare with.")
    with reading(workspace.engine) as connection:
        day = scores.newest_day(connection, spec.name)
    if day is None:
        raise Refusal(f"{spec.title} was not scored yet: run `sevenfold run`.")
    method = workspace.method(spec)
    inputs = method.inputs(workspace.snapshot(day.data_version), [day.as_of])[day.as_of]
    current = method.monitored(inputs)
    current = current.sample(min(len(current), REFERENCE_ROWS), random_state=0)
    reference = pd.read_parquet(champion.folder / REFERENCE)
    # Evidently stops at a column that is empty on either side.
    columns = [
        name
        for name in reference.columns
        if name in current and reference[name].notna().any() and current[name].notna().any()
    ]
    if not columns:
        raise Refusal(f"{spec.title}: no column has values both on {day.as_of} and in training.")
    page = workspace.settings.home / "reports" / f"drift-{spec.route}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    _write(reference[columns], current[columns], page)
    return page


def _write(reference: pd.DataFrame, current: pd.DataFrame, page: Path) -> None:
    with warnings.catch_warnings():
        # Evidently's own dependencies warn while they are imported and while it bins.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        numbers = list(reference.select_dtypes(["number", "bool"]).columns)
        words = [name for name in reference.columns if name not in numbers]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
        old, new = (
            Dataset.from_pandas(
                frame.astype(dict.fromkeys(numbers, "float64")).astype(
                    dict.fromkeys(words, object)
                ),
                definition,
            )
            for frame in (reference, current)
        )
        report = Report([DataDriftPreset(method="psi", threshold=DRIFTED_PSI)])
        report.run(new, old).save_html(str(page))
