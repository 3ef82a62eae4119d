"""Run one service in a process that kills itself at the n-th point: before each SQL statement of it, and
before and after each COPY and each COMMIT.

After a statement is the same as before the next one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
from sqlalchemy import Engine, event, select
from sqlalchemy.engine.default import DefaultDialect

from pipeline.core.poses import FramePoses
from pipeline.db.engine import transaction
from pipeline.db.erasures import select_unfinished
from pipeline.db.frames import FrameRow
from pipeline.db.tables import run
from pipeline.errors import NotFound
from pipeline.inference.engines.placement import Placement
from pipeline.services import detect
from pipeline.services.dispatch import dispatch
from pipeline.services.erase.targets import begin_erasure, find_asked
from pipeline.services.erase.work import go_on
from pipeline.services.finish import finish_run
from pipeline.services.model_cache import ModelCache
from pipeline.services.plan import plan_runs
from pipeline.services.system import System, build_system
from pipeline.services.uploads.complete import complete_upload
from pipeline.settings import Settings, load_settings
from tests.support.harness import environment

#: Of the made-up videos: frame n is at 2 n.
PTS_PER_FRAME = 2


def made_up(number: int) -> FrameRow:
    """What stands for the poses of a frame: a function of its number."""
    poses = FramePoses(*(np.full(shape, number / 1000, np.float32) for shape in ((1,), (1, 4), (1, 17, 3))))
    return FrameRow(number, number * PTS_PER_FRAME, poses)


def _fill(spool: Any, system: System, models: ModelCache, work: Any) -> str:
    plan = work.claimed.plan
    for number in range(plan.first_frame, plan.first_frame + plan.frames):
        spool.add(made_up(number))
    return "made up"


def analyse_made_up(system: System, run_id: UUID) -> None:
    """Claim the only chunk of a run and commit it, with frames that need no video and no network."""
    real, detect._fill = detect._fill, _fill
    try:
        detect.detect_chunk(system, ModelCache(system, Placement("cpu")), run_id, 0, "w")
    finally:
        detect._fill = real


def _plan(system: System, run_id: UUID) -> None:
    with transaction(system.engine) as connection:
        video_id = connection.execute(select(run.c.video_id).where(run.c.id == run_id)).scalar_one_or_none()
        plan_runs(connection, system.settings, video_id or uuid4())
    dispatch(system)


#: What is killed, by name; each takes the run.
OPERATIONS: dict[str, Callable[[System, UUID], object]] = {
    "plan": _plan,
    "claim and commit": analyse_made_up,
    "finish": lambda system, run_id: finish_run(system, run_id, "w"),
}


def erase_video_of(system: System, run_id: UUID) -> None:
    """Erase the video of a run, or go on with an erasure that was begun."""
    with transaction(system.engine) as connection:
        begun = select_unfinished(connection)
        video_id = connection.execute(select(run.c.video_id).where(run.c.id == run_id)).scalar_one_or_none()
    if video_id is not None and not begun:
        begun = [begin_erasure(system, find_asked(system, [str(video_id)], team=None, tags={}), "a test")]
    for erasure_id in begun:
        go_on(system, erasure_id)


def complete_upload_of(system: System, upload_id: UUID) -> None:
    """Complete an upload; nothing where there is none."""
    with suppress(NotFound):
        complete_upload(system, upload_id, None)


#: What else is killed, of a run that is done, or of an upload.
AFTERWARDS: dict[str, Callable[[System, UUID], object]] = {
    "erase": erase_video_of,
    "complete upload": complete_upload_of,
}


class FailPoints:
    """Forks a process for each kill from one that has everything imported and every statement compiled."""

    def __init__(self, settings: Settings) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__], env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def kill_at(self, operation: str, run_id: UUID, point: int) -> bool:
        """Run an operation in a process that dies at that point. Returns whether it did; otherwise it has no such
        point."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([operation, str(run_id), point]).encode() + b"\n")
        self._server.stdin.flush()
        while not (line := self._server.stdout.readline()).startswith(b"ended "):
            assert line, "the server of the fail-points ended"
        code = int(line.split()[1])
        assert code in {0, -signal.SIGKILL}, f"it ended with {code}"
        return code != 0

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


@contextmanager
def fail_points(settings: Settings) -> Iterator[FailPoints]:
    """Fail-points for one block."""
    points = FailPoints(settings)
    try:
        yield points
    finally:
        points.close()


def _serve() -> None:
    system = build_system(load_settings(Path(os.environ["POSELINE_HOME"])), pool_size=2)
    every = OPERATIONS | AFTERWARDS
    for operation in every.values():
        operation(system, uuid4())  # of a run that does not exist: it does nothing, and is quick from now on
    system.engine.dispose()
    for line in sys.stdin:
        operation, run_id, point = json.loads(line)
        child = os.fork()
        if child == 0:
            system.engine.dispose(close=False)
            _die_at(point)
            every[operation](system, UUID(run_id))
            os._exit(0)
        print(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", flush=True)  # noqa: T201


def _die_at(point: int) -> None:
    """Count what this thread does to the database; the heartbeat's thread does not count."""
    passed = 0
    thread = threading.current_thread()

    def reach(*_: object, **__: object) -> None:
        nonlocal passed
        if threading.current_thread() is thread:
            passed += 1
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", reach)
    commit, copy = DefaultDialect.do_commit, psycopg.Cursor.copy

    def do_commit(self: Any, connection: Any) -> None:
        reach()
        commit(self, connection)
        reach()

    @contextmanager
    def do_copy(self: Any, *args: Any, **options: Any) -> Iterator[Any]:
        reach()
        with copy(self, *args, **options) as copying:
            yield copying
        reach()

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]
    psycopg.Cursor.copy = do_copy  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    _serve()
