"""The tasks. Their arguments are ids; anything else is refused when it is parsed."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from celery import Celery

from pipeline.errors import DeviceLost, PoselineError
from pipeline.queue import DETECT, FINISH, INGEST, PASS, PROXY, TICK
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.passes import advance_pass
from pipeline.services.pressure import decline_ingest
from pipeline.services.proxy import make_proxy
from pipeline.services.reconcile import tick
from workers.runtime import Runtime


def register_tasks(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Add Poseline's tasks to `app`.

    A service writes a failure to Postgres and raises it again, so that Flower shows it; Celery does nothing more.
    """

    @app.task(name=INGEST, throws=(PoselineError,))
    def ingest(video_id: str) -> None:
        here = runtime()
        if not here.has_room():
            decline_ingest(here.system, UUID(video_id))
            return
        ingest_video(here.system, UUID(video_id), here.name, here.stopping)

    @app.task(name=DETECT, throws=(PoselineError,))
    def detect(run_id: str, idx: int) -> None:
        here = runtime()
        try:
            detect_chunk(here.system, here.models, UUID(run_id), int(idx), here.name, here.stopping)
        except DeviceLost as error:
            here.end(error)
            raise

    @app.task(name=FINISH, throws=(PoselineError,))
    def finish(run_id: str) -> None:
        here = runtime()
        finish_run(here.system, UUID(run_id), here.name, here.stopping)

    @app.task(name=PROXY, throws=(PoselineError,))
    def proxy(video_id: str) -> None:
        here = runtime()
        if here.has_room():
            make_proxy(here.system, UUID(video_id), here.name, here.stopping)

    @app.task(name=PASS, throws=(PoselineError,))
    def advance(name: str, pass_id: str, event: str) -> None:  # noqa: ARG001  shown in Flower
        advance_pass(runtime().system, UUID(pass_id))

    @app.task(name=TICK, send_events=False)
    def beat() -> None:
        here = runtime()
        if here.tick_is_due():
            tick(here.system)
