"""Judges rules by a Great Expectations suite over a frame of their figures.

DuckDB measures, on tables of any size; the suite decides. An empty table or a missing column is a
figure of its own here: an expectation on the rows themselves passes on an empty frame, and hides
a missing column in an exception.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from warehouse.quality.rules import Rule
from warehouse.repositories.verdicts import FailedRule

_SEVERITIES = ("fail", "warn")


def judge(table: str, rules: Sequence[Rule]) -> list[FailedRule]:
    """The rules whose figure is above a limit, each at its worst severity, failures first."""
    import pandas as pd

    gx = _great_expectations()
    limited = {
        (rule.name, severity): (rule, limit)
        for rule in rules
        for severity, limit in (("fail", rule.fail_above), ("warn", rule.warn_above))
        if limit is not None
    }
    expectations = [
        gx.expectations.ExpectColumnMaxToBeBetween(
            column=name,
            max_value=limit,
            severity="critical" if severity == "fail" else "warning",
            meta={"rule": name, "severity": severity},
        )
        for (name, severity), (_, limit) in limited.items()
    ]
    if not expectations:
        return []
    suite = gx.ExpectationSuite(name=table, expectations=expectations)
    frame = pd.DataFrame({rule.name: [float(rule.figure)] for rule in rules})
    result = _batch_definition().get_batch({"dataframe": frame}).validate(suite)
    failed: dict[str, FailedRule] = {}
    for severity in _SEVERITIES:
        for outcome in result.results:
            meta = outcome.expectation_config.meta
            if outcome.exception_info.get("raised_exception"):
                raise RuntimeError(
                    f"the rule {meta['rule']} of {table} could not be judged:"
                    f" {outcome.exception_info.get('exception_message')}"
                )
            if outcome.success or meta["severity"] != severity or meta["rule"] in failed:
                continue
            rule, limit = limited[meta["rule"], severity]
            failed[rule.name] = FailedRule(
                rule=rule.name,
                severity=severity,  # type: ignore[arg-type]
                figure=float(rule.figure),
                message=rule.message,
                limit=limit,
                examples=list(rule.examples),
            )
    return list(failed.values())


@cache
def _great_expectations() -> Any:
    with warnings.catch_warnings():
        # Its import alone warns of modules that Python has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx
        import great_expectations.expectations
    return gx


@cache
def _batch_definition() -> Any:
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("figures").add_dataframe_asset("figures")
    return asset.add_batch_definition_whole_dataframe("figures")
