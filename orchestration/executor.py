"""What surrounds the steps of every launched run: its process, which others see and go before, and
the job it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml.lifecycle.workspace import Workspace
from ml.priority import RUN, step_aside
from orchestration.abandoned import hold
from orchestration.job_runs import ATTEMPT, BULK, as_job


def watched(inner: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The same executor, in a run that others can see to be alive, and that ends its job."""

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        create_inner = inner.executor_creation_fn
        assert create_inner is not None, "only the executors of tests are made without a function"
        return _Watched(create_inner(context))

    return dg.ExecutorDefinition(
        name=inner.name,
        config_schema=inner.config_schema,
        requirements=inner.get_requirements,
        executor_creation_fn=create,
        description=inner.description,
    )


class _Watched(dg.Executor):
    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        step_aside(RUN)
        run = plan_context.dagster_run
        # Until the process ends, not only the steps: that the run succeeded is written after them.
        hold(plan_context.instance, run.run_id)
        events = self._inner.execute(plan_context, execution_plan)
        if ATTEMPT in run.tags and run.job_name != BULK:  # a file's run keeps its own lease
            events = as_job(Workspace.current().engine, plan_context.instance, run, events)
        yield from events
