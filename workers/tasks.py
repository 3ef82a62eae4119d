"""The tasks. Their arguments are ids; anything else is refused when it is parsed."""

# ruff: noqa: PLC0415 - beat, Flower and `celery inspect` have the tasks too, and call none
from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import UUID

from celery import Celery

from pipeline.errors import DeviceLost, PoselineError
from pipeline.queue import DETECT, FINISH, INGEST, PASS, PROXY, TICK

if TYPE_CHECKING:
    from workers.runtime import Runtime

_SERVICES = ("detect", "finish", "ingest", "passes", "pressure", "proxy", "reconcile")


def load_services() -> None:
    """Import what the tasks call, so that the first of them need not wait for it."""
    for name in _SERVICES:
        import_module(f"pipeline.services.{name}")


def register_tasks(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Add Poseline's tasks to `app`.

    A service writes a failure to Postgres and raises it again, so that Flower shows it; Celery does nothing more.
    """

    @app.task(name=INGEST, throws=(PoselineError,))
    def ingest(video_id: str) -> None:
        from pipeline.services.ingest import ingest_video
        from pipeline.services.pressure import decline_ingest

        here = runtime()
        if not here.has_room():
            decline_ingest(here.system, UUID(video_id))
            return
        ingest_video(here.system, UUID(video_id), here.name, here.stopping)

    @app.task(name=DETECT, throws=(PoselineError,))
    def detect(run_id: str, idx: int) -> None:
        from pipeline.services.detect import detect_chunk

        here = runtime()
        try:
            detect_chunk(here.system, here.models, UUID(run_id), int(idx), here.name, here.stopping)
        except DeviceLost as error:
            here.end(error)
            raise

    @app.task(name=FINISH, throws=(PoselineError,))
    def finish(run_id: str) -> None:
        from pipeline.services.finish import finish_run

        here = runtime()
        finish_run(here.system, UUID(run_id), here.name, here.stopping)

    @app.task(name=PROXY, throws=(PoselineError,))
    def proxy(video_id: str) -> None:
        from pipeline.services.proxy import make_proxy

        here = runtime()
        if here.has_room():
            make_proxy(here.system, UUID(video_id), here.name, here.stopping)

    @app.task(name=PASS, throws=(PoselineError,))
    def advance(name: str, pass_id: str, event: str) -> None:  # noqa: ARG001  shown in Flower
        from pipeline.services.passes import advance_pass

        advance_pass(runtime().system, UUID(pass_id))

    @app.task(name=TICK, send_events=False)
    def beat() -> None:
        from pipeline.services.reconcile import tick

        here = runtime()
        if here.tick_is_due():
            tick(here.system)
