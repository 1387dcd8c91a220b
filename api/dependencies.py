"""What routes and middleware share: built once for an application, open while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from fastapi import Request
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from api.cache import DayCache
from api.callbacks import POLL_SECONDS, Callbacks
from api.champions import REFRESH_SECONDS, Champions
from api.downloads import Downloads
from api.keys import Keys
from api.limiter import Limiter
from api.logs import logger
from api.metrics import Metrics
from api.predictor import Predictor
from api.problems import Problem
from api.settings import ApiSettings
from api.threads import Threads
from api.uploads import Uploads
from api.workers import Workers
from ml.jobs.files import job_files
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.webhooks.sending import Sender
from ml.webhooks.settings import WebhookSettings
from ml.webhooks.targets import Reach
from warehouse.database import locked, utc_now, writing
from warehouse.points import points
from warehouse.repositories import idempotency
from warehouse.sealing import Seal

T = TypeVar("T")
USED_SECONDS = 5.0
PURGE_SECONDS = 3600.0
LOG = logger("background")


class Services:
    """Everything that serves a workspace."""

    def __init__(
        self, workspace: Workspace, settings: ApiSettings, webhooks: WebhookSettings | None = None
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.metrics = Metrics()
        self._writers = Threads("write", 4)
        self._followers = Threads("follow", 2)
        self.artifacts = Threads("artifacts", 2)
        self.keys = Keys(workspace.engine, self._followers, self._writers)
        self.limiter = Limiter(settings)
        self.answers: DayCache[bytes] = DayCache()
        self.points = points(workspace.settings.warehouse_url)
        self.workers = Workers(settings.api_workers, settings.api_worker_seconds, workspace.ml)
        self.uploads = Uploads(job_files(workspace), settings.api_uploads)
        self.downloads = Downloads(settings.api_downloads)
        self.champions = Champions(
            workspace, self.metrics, self._followers, self.artifacts, self._check
        )
        self.predictor = Predictor(self.champions, self.points, self.workers, self.metrics)
        webhooks = webhooks or WebhookSettings()
        self.seal = Seal.of(workspace.settings)
        self.reach = Reach.of(webhooks, workspace.settings.env)
        sender = Sender(self.reach, webhooks.webhook_seconds)
        self.callbacks = Callbacks(
            workspace.engine, self.seal, sender, webhooks, self.metrics.callbacks
        )

    async def write(self, work: Callable[[], T]) -> T:
        """Do what writes off the event loop; Problem 503 where another writer holds on too long."""
        try:
            return await self._writers.run(work)
        except OperationalError as error:
            if not locked(error):
                raise
            LOG.warning("warehouse_busy", error=type(error.orig).__name__)
            raise Problem(
                503,
                "warehouse_busy",
                "The warehouse could not be written to in time.",
                headers={"Retry-After": "5"},
            ) from error

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Open connections, load champions, and follow what changes until the end."""
        await self.points.open()
        await self.keys.refresh()
        await self.champions.refresh()
        await self.champions.loaded()
        tasks = [
            asyncio.create_task(_every(REFRESH_SECONDS, self.keys.refresh)),
            asyncio.create_task(_every(REFRESH_SECONDS, self.champions.refresh)),
            asyncio.create_task(_every(USED_SECONDS, self.keys.flush_used)),
            asyncio.create_task(_every(PURGE_SECONDS, self._purge)),
            asyncio.create_task(_every(PURGE_SECONDS, self.callbacks.purge)),
            asyncio.create_task(_every(POLL_SECONDS, self.callbacks.step)),
        ]
        tasks.append(asyncio.create_task(self._warm()))
        gc.freeze()  # what serves lives to the end: no collection need look at it again
        gc.enable()  # a start of ours turns it off
        try:
            yield
        finally:
            gc.unfreeze()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(SQLAlchemyError):
                await self.callbacks.close()
            with contextlib.suppress(SQLAlchemyError):
                await self.keys.flush_used()
            await self.workers.close()
            await self.limiter.close()
            await self.points.close()
            self.uploads.close()
            for threads in (self._writers, self._followers, self.artifacts):
                threads.close()

    async def _warm(self) -> None:
        """Once everything else serves: the workers take seconds to start."""
        try:
            await self.predictor.warm(self.workspace.registry.values())
        except (Problem, RuntimeError) as error:
            LOG.warning("workers_not_warm", why=str(error))

    async def _check(self, spec: ModelSpec, folder: Path) -> None:
        await self.predictor.check(spec, folder)

    async def _purge(self) -> None:
        """Forget answers that nobody may ask for again."""

        def purge() -> None:
            with writing(self.workspace.engine) as connection:
                idempotency.purge(connection, utc_now() - idempotency.LIFE)

        await self._writers.run(purge)


async def _every(seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    """Repeat a step to the end; whatever stops one is a line in the log, and the next try."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await step()
        except SQLAlchemyError as error:
            LOG.warning("warehouse_away", step=step.__qualname__, error=type(error).__name__)
        except Exception as error:
            # Nobody else would notice that it ended.
            LOG.error("step_failed", step=step.__qualname__, exc_info=error)


def services(request: Request) -> Services:
    """The services of the application that a request came to."""
    found: Services = request.app.state.services
    return found
