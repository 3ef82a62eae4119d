"""One worker process: its servers, its models, its name, and its reports to Postgres.

A worker starts only if it computes on the device that was asked for and its model finds what it should.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from celery import Celery

import pipeline
from pipeline.core.precision import Precision
from pipeline.db.engine import transaction
from pipeline.db.worker_deaths import note_start, select_restarting, workers_on
from pipeline.db.workers import DeviceRow, remove_worker, report_worker
from pipeline.errors import DeviceLost, PoselineError, ServiceUnavailable
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.logs import get_logger
from pipeline.queue import FRAMES_IN, build_task_queue
from pipeline.services.model_cache import ModelCache
from pipeline.services.pressure import describe_full_disk
from pipeline.services.suspects import gone_s
from pipeline.services.system import System, build_system
from pipeline.settings import Settings
from workers.intake import Intake
from workers.pool import COMPUTES, pool_stats

log = get_logger(__name__)

#: While it finishes what it has in hand, so that a deploy need not wait for the next report.
_REPORT_WHILE_DRAINING_S = 0.3


@dataclass
class Runtime:
    """The state of one worker process. Its slots are threads that share its models."""

    name: str
    slots: int
    system: System
    models: ModelCache
    computes: DeviceRow
    precisions: tuple[Precision, ...] = ("fp32",)
    intake: Intake = field(default_factory=lambda: Intake(()))
    stopping: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    #: Set to have it report at once.
    report_due: threading.Event = field(default_factory=threading.Event)
    _disk_low: str = ""
    _ticked_at_s: float = -math.inf

    def tick_is_due(self) -> bool:
        """Whether a tick should run: of several that waited for a busy slot, one is enough."""
        now_s = time.monotonic()
        if now_s - self._ticked_at_s < self.system.settings.tick_s / 2:
            return False
        self._ticked_at_s = now_s
        return True

    def end(self, error: DeviceLost) -> None:
        """Shut this worker down so that its supervisor restarts it: a lost GPU would fail all further work at once."""
        if not self.stopping.is_set():
            log.critical("worker_ends", reason=error.message)
            self.stopping.set()
            os.kill(os.getpid(), signal.SIGTERM)

    def has_room(self) -> bool:
        """Whether there is room for the scratch files of an ingest."""
        settings = self.system.settings
        self._disk_low = describe_full_disk(
            settings.scratch_path, settings.disk_min_bytes, was_low=bool(self._disk_low)
        )
        return not self._disk_low

    def report(self, *, starts: bool = False) -> None:
        """Report to Postgres that this worker is alive, and learn whether it is to take nothing more."""
        self.has_room()
        with transaction(self.system.engine) as connection:
            draining = report_worker(
                connection,
                name=self.name,
                pid=os.getpid(),
                slots=self.slots,
                version=pipeline.__version__,
                computes=self.computes,
                precisions=self.precisions,
                disk_low=self._disk_low,
                is_drained=self.intake.is_drained,
                starts=starts,
                gone_s=gone_s(self.system.settings),
            )
        self.intake.follow(draining=draining)

    def warn_of_restarts(self) -> None:
        """Say in the log that workers here were restarted again and again, of which the logs before tell why."""
        with transaction(self.system.engine) as connection:
            for each in select_restarting(connection):
                if each.name == self.name or each.name == workers_on(self.name):
                    log.error("worker_dies_again_and_again", worker=each.name, deaths_in_the_last_hour=each.deaths)

    def report_until_stopped(self) -> None:
        """Report every few seconds; a database outage is no reason to stop."""
        every_s = gone_s(self.system.settings) / 3
        while True:
            self.report_due.wait(_REPORT_WHILE_DRAINING_S if self.intake.is_shutting else every_s)
            self.report_due.clear()
            if self.stopped.is_set():
                return
            try:
                self.report()
            except ServiceUnavailable as error:
                log.warning("worker_not_reported", reason=error.message)
            except Exception:
                log.exception("worker_not_reported")

    def leave(self) -> None:
        """End the reports, and take this worker's row away."""
        self.stopped.set()
        self.report_due.set()
        try:
            with transaction(self.system.engine) as connection:
                remove_worker(connection, self.name)
        except ServiceUnavailable:
            log.warning("worker_not_removed")


def build_runtime(app: Celery, settings: Settings, name: str, slots: int, device: Device) -> Runtime:
    """Load and check the bundled model before the first chunk arrives.

    Raises:
        DeviceUnavailable: the device is not there, is another than was asked for, or computes wrongly.
        InvalidWeights: the bundled model is damaged.
        ServiceUnavailable: Postgres does not answer.
    """
    # A slot needs a connection for its transaction and one for its lease; the reports and ticks need one each.
    system = build_system(settings, queue=build_task_queue(settings, app), pool_size=2 * slots + 2)
    try:
        with transaction(system.engine) as connection:
            note_start(connection, name)
        models = ModelCache(system, Placement(device, slots=slots, cache_path=settings.home / "engines"))
        report = models.preload(BUNDLED_MODEL)
    except BaseException:
        system.close()
        raise
    computes = DeviceRow(
        device=report.device.name,
        provider=report.device.provider,
        engine=report.device.engine,
        driver=report.device.driver,
        reason=report.device.reason,
        golden_ms=report.frame_ms,
        checked_at=datetime.now(UTC),
    )
    return Runtime(name, slots, system, models, computes)


def start_runtime(app: Celery, settings: Settings, name: str, slots: int, device: Device) -> Runtime:
    """The runtime of this process, which reports from now on.

    Raises:
        SystemExit: it cannot work; the log says why.
    """
    try:
        runtime = build_runtime(app, settings, name, slots, device)
        consumed = app.amqp.queues.consume_from
        runtime.precisions = tuple(p for p, queue in FRAMES_IN.items() if queue in consumed)
        runtime.intake = Intake(tuple(consumed))
        runtime.report(starts=True)
    except PoselineError as error:
        log.critical("worker_refuses", reason=error.message)
        raise SystemExit(error.exit_code) from error
    except Exception as error:  # Celery would log it, take messages, and have nothing to work with
        log.exception("worker_refuses")
        raise SystemExit(1) from error
    runtime.warn_of_restarts()
    app.conf[COMPUTES] = pool_stats(runtime.computes) | {"precisions": list(runtime.precisions)}
    threading.Thread(target=runtime.report_until_stopped, name="report", daemon=True).start()
    log.info(
        "worker_starts",
        device=runtime.computes.device,
        provider=runtime.computes.provider,
        engine=runtime.computes.engine,
        reason=runtime.computes.reason,
        slots=runtime.slots,
    )
    return runtime
