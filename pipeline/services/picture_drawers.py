"""Draw small pictures in processes of their own: OpenCV and what else it takes is 95 MiB, which goes with them.

A few processes draw at once. Each goes on while there is more to draw, so that a list whose pictures are all missing
waits for its start once, and ends when there was nothing for a while.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field
from struct import Struct
from typing import IO, Any
from uuid import UUID

from pipeline import errors
from pipeline.errors import PoselineError, ServiceUnavailable
from pipeline.services.system import System

#: Of an answer: whether it is a picture, and how many bytes follow.
HEAD = Struct("!?I")
_MODULE = "pipeline.services.preview.picture_process"
_AT_ONCE = 2
#: Whoever waits takes a thread from all other requests.
_MOST_HERE = 12
_WAIT_S = 30.0
_IDLE_S = 20.0
#: A decoder is ended before that.
_LONGEST_S = 180.0
_TOO_MANY = "too many pictures are being drawn; try again in a moment"
_STOPS = "this server stops; try again in a moment"


@dataclass(frozen=True)
class Picture:
    """What to draw: a frame of a run with its people, or of a video without.

    Args:
        team: whose it must be.
    """

    team: str
    video_id: UUID | None = None
    run_id: UUID | None = None

    def to_dict(self) -> dict[str, str | None]:
        """As JSON fields."""
        return {
            "team": self.team,
            "video_id": None if self.video_id is None else str(self.video_id),
            "run_id": None if self.run_id is None else str(self.run_id),
        }


@dataclass
class _Job:
    request: bytes
    done: Future[bytes] = field(default_factory=Future)


class PictureDrawers:
    """The processes, started when they are needed.

    Args:
        at_once: how many there are at most.
        idle_s: how long one waits for more to draw.
    """

    def __init__(self, at_once: int = _AT_ONCE, idle_s: float = _IDLE_S) -> None:
        self._at_once, self._idle_s = at_once, idle_s
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._here = threading.Semaphore(_MOST_HERE)
        self._guard = threading.Lock()
        self._open = self._threads = 0
        self._closed = False
        self._processes: set[subprocess.Popen[bytes]] = set()

    def draw(self, system: System, picture: Picture) -> bytes:
        """A JPEG, 320 pixels on its longer side.

        Raises:
            ServiceUnavailable: too many pictures are being drawn.
            PoselineError: as `draw_thumbnail` and `draw_video_still`; or the process ended by itself.
        """
        if not self._here.acquire(blocking=False):
            raise ServiceUnavailable(_TOO_MANY)
        try:
            request = {"settings": system.settings.handed_on(), **picture.to_dict()}
            job = _Job(json.dumps(request).encode() + b"\n")
            self._give(job)
            try:
                return job.done.result(_WAIT_S)
            except NotYet:
                if job.done.cancel():
                    raise ServiceUnavailable(_TOO_MANY) from None
                return job.done.result()
        except CancelledError:
            raise ServiceUnavailable(_STOPS) from None
        finally:
            self._here.release()

    @property
    def pids(self) -> list[int]:
        """The processes that there are now."""
        with self._guard:
            return [process.pid for process in self._processes]

    def close(self) -> None:
        """End the processes; what they draw is given up."""
        with self._guard:
            self._closed = True
            threads, processes = self._threads, list(self._processes)
            with suppress(queue.Empty):
                while (job := self._jobs.get_nowait()) is not None:
                    job.done.cancel()
        for process in processes:
            process.kill()
        for _ in range(threads):
            self._jobs.put(None)

    def _give(self, job: _Job) -> None:
        with self._guard:
            if self._closed:
                raise ServiceUnavailable(_STOPS)
            self._jobs.put(job)
            self._open += 1
            if self._threads >= min(self._at_once, self._open):
                return
            self._threads += 1
        # A child ends with the thread that started it, so that has to last as long: one thread, one process.
        threading.Thread(target=self._serve, name="pictures", daemon=True).start()

    def _serve(self) -> None:
        process: subprocess.Popen[bytes] | None = None
        try:
            while (job := self._next()) is not None:
                try:
                    if job.done.set_running_or_notify_cancel():
                        process = self._do(job, process)
                finally:
                    with self._guard:
                        self._open -= 1
        finally:
            self._end(process)

    def _do(self, job: _Job, process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes] | None:
        """Draw one picture. Returns the process, if it still runs."""
        while True:
            fresh = process is None
            try:
                process = process or self._start()
                job.done.set_result(_ask(process, job.request))
            except _Told as told:
                job.done.set_exception(told.error)
            except Exception as error:  # noqa: BLE001  it is told to who asked
                self._end(process)
                process = None
                if not fresh and not self._closed:  # it ended while it waited: somebody ended it
                    continue
                why = f"the picture could not be drawn ({type(error).__name__}); the server's log says why"
                job.done.set_exception(ServiceUnavailable(_STOPS) if self._closed else PoselineError(why))
            return process

    def _next(self) -> _Job | None:
        """What to draw next; None where this thread is to end, which counts no longer then."""
        with suppress(queue.Empty):
            job = self._jobs.get(timeout=self._idle_s)
            if job is not None:
                return job
        with self._guard:
            with suppress(queue.Empty):  # given while this one gave up waiting
                job = self._jobs.get_nowait()
                if job is not None:
                    return job
            self._threads -= 1
        return None

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with self._guard:
            self._processes.add(process)
            if self._closed:
                process.kill()
        return process

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        process.kill()
        with suppress(OSError):
            process.__exit__(None, None, None)
        with self._guard:
            self._processes.discard(process)


class _Told(Exception):
    """The process says why there is no picture."""

    def __init__(self, error: PoselineError) -> None:
        super().__init__(error.message)
        self.error = error


def _ask(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    hung = threading.Timer(_LONGEST_S, process.kill)
    hung.start()
    try:
        process.stdin.write(request)
        process.stdin.flush()
        is_picture, length = HEAD.unpack(_read(process.stdout, HEAD.size))
        body = _read(process.stdout, length)
    finally:
        hung.cancel()
    if is_picture:
        return body
    told: dict[str, Any] = json.loads(body)
    kind = getattr(errors, told["error"], None)
    cls = kind if isinstance(kind, type) and issubclass(kind, PoselineError) else PoselineError
    raise _Told(cls(told["message"]))


def _read(stream: IO[bytes], length: int) -> bytes:
    found = stream.read(length)
    if len(found) < length:
        raise EOFError
    return found
