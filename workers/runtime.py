"""What one worker process holds: its servers, its models, its name; and its word in Postgres that it is alive."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, signals

import pipeline
from pipeline.db.engine import transaction
from pipeline.db.workers import ALIVE_S, remove_worker, report_worker
from pipeline.errors import PoselineError, ServiceUnavailable
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.sessions import Device
from pipeline.logs import get_logger
from pipeline.queue import build_task_queue
from pipeline.services.models import ModelCache
from pipeline.services.system import System, build_system
from pipeline.settings import Settings

log = get_logger(__name__)


@dataclass(frozen=True)
class Runtime:
    """One worker process. Slots are threads that share its models."""

    name: str
    slots: int
    system: System
    models: ModelCache
    provider: str
    device: str
    stopping: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    _ticked_at: list[float] = field(default_factory=list)

    def tick_is_due(self) -> bool:
        """Whether the last tick here was some time ago: of those that piled up in busy slots, one is enough."""
        now = time.monotonic()
        if self._ticked_at and now - self._ticked_at[-1] < self.system.settings.tick_s / 2:
            return False
        self._ticked_at[:] = [now]
        return True

    def report(self) -> None:
        """Say in Postgres that this worker is alive."""
        with transaction(self.system.engine) as connection:
            report_worker(
                connection,
                name=self.name,
                pid=os.getpid(),
                device=self.device,
                provider=self.provider,
                slots=self.slots,
                version=pipeline.__version__,
            )

    def report_until_stopped(self) -> None:
        """Report every few seconds; a database that is away for a while is no reason to stop."""
        while not self.stopped.wait(ALIVE_S / 3):
            try:
                self.report()
            except ServiceUnavailable as error:
                log.warning("worker_not_reported", reason=error.message)
            except Exception:
                log.exception("worker_not_reported")


def build_runtime(app: Celery, settings: Settings, name: str, slots: int, device: Device) -> Runtime:
    """Load the model before the first chunk comes, and refuse to work on another device than the one asked for.

    Raises:
        DeviceUnavailable: the device is not there.
        ModelUnusable: the bundled model is damaged.
    """
    # A slot holds a connection for its transaction, another for its lease; the reporter and ticks need one each.
    system = build_system(settings, queue=build_task_queue(settings, app), pool_size=2 * slots + 2)
    models = ModelCache(system.engine, settings.models_path, device)
    session = models.preload(BUNDLED_MODEL).session
    return Runtime(name, slots, system, models, session.provider, session.device_name)


def serve(app: Celery, settings: Settings, device: Device) -> Callable[[], Runtime]:
    """Make the runtime when this process turns out to be a worker; hand it to the tasks."""
    made: list[Runtime] = []

    def start(sender: str, instance: Any, **_: object) -> None:
        try:
            runtime = build_runtime(app, settings, sender, instance.concurrency, device)
            runtime.report()
        except PoselineError as error:
            log.critical("worker_refuses", reason=error.message)
            raise SystemExit(error.exit_code) from error
        made.append(runtime)
        threading.Thread(target=runtime.report_until_stopped, name="report", daemon=True).start()
        log.info("worker_starts", device=runtime.device, provider=runtime.provider, slots=runtime.slots)

    def stop(**_: object) -> None:
        for runtime in made:
            runtime.stopping.set()

    def leave(**_: object) -> None:
        for runtime in made:
            runtime.stopped.set()
            try:
                with transaction(runtime.system.engine) as connection:
                    remove_worker(connection, runtime.name)
            except ServiceUnavailable:
                log.warning("worker_not_removed")

    # Celery keeps weak references; these live as long as the process.
    signals.celeryd_after_setup.connect(start, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    signals.worker_shutdown.connect(leave, weak=False)
    return lambda: made[0]
