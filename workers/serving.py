"""Have this process serve as a worker where Celery starts it as one.

Nothing that only a worker needs is imported before: beat, Flower and `celery inspect` import 0.55 s of Python, not 1.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import Celery, signals

from pipeline.logs import get_logger
from pipeline.queue import REPORT
from pipeline.settings import Settings
from workers.tasks import load_services

if TYPE_CHECKING:
    from pipeline.inference.engines.sessions import Device
    from workers.runtime import Runtime

log = get_logger(__name__)


def serve(app: Celery, settings: Settings, device: Device) -> Callable[[], Runtime]:
    """Build the runtime when this process starts as a worker, and give the tasks access to it."""
    built: list[Runtime] = []

    def start(sender: str, instance: Any, **_: object) -> None:
        try:
            from celery.worker.control import Panel  # noqa: PLC0415

            from workers.runtime import start_runtime  # noqa: PLC0415

            load_services()
        except Exception as error:  # Celery would log it, take messages, and have nothing to work with
            log.exception("worker_refuses")
            raise SystemExit(1) from error
        built.append(start_runtime(app, settings, sender, instance.concurrency, device))
        Panel.register(report_now, name=REPORT)

    def use_consumer(sender: Any, **_: object) -> None:
        for runtime in built:
            runtime.intake.use(sender)

    def report_now(*_: object, **__: object) -> dict[str, str]:
        for runtime in built:
            runtime.report_due.set()
        return {"ok": "reports"}

    def stop(**_: object) -> None:
        for runtime in built:
            runtime.stopping.set()

    def leave(**_: object) -> None:
        for runtime in built:
            runtime.leave()

    # Celery keeps weak references; these live as long as the process.
    signals.celeryd_after_setup.connect(start, weak=False)
    signals.worker_ready.connect(use_consumer, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    signals.worker_shutdown.connect(leave, weak=False)
    return lambda: built[0]
