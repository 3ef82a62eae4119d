"""The device calls of all live sessions: one waiting place for each session, and as many frames a call as wait.

A call is never put off to fill a batch. Sessions take turns: one that was served goes to the end, and a newer frame of
a session takes the place of the one that waits, at its place in the row.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, islice
from typing import TYPE_CHECKING

from pipeline.core.letterbox import Image
from pipeline.core.poses import FramePoses
from pipeline.errors import DeviceUnavailable, InvalidOutput, InvalidWeights
from pipeline.logs import get_logger

if TYPE_CHECKING:
    from pipeline.inference.pose_model import PoseModel

log = get_logger(__name__)

#: The share of the newest call in the mean; larger where the one before it was long ago.
_NEWEST, _NEWEST_AFTER_A_PAUSE = 0.05, 0.5
_PAUSE_S = 15.0
_CALLS_TO_MEASURE = 5


@dataclass(frozen=True)
class Analysed:
    """The outcome of a device call for one frame.

    Args:
        begun_s: when the call began, by `time.monotonic`.
        process_ms: what the call took.
        batch: its frames.
        poses: None where it failed.
        reason: why it failed, one line.
    """

    begun_s: float
    process_ms: float
    batch: int
    poses: FramePoses | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Job:
    """A decoded frame of a session.

    Args:
        session: whose it is.
        done: called from a thread of the engine, once; with None where a newer frame took its place.
    """

    session: object
    image: Image
    scale: float
    done: Callable[[Analysed | None], None] = field(repr=False)


class Engine:
    """Threads that each make one device call at a time.

    Args:
        slots: calls at once.
        frame_ms: what a frame takes, as measured when the model was loaded.
        on_lost: called once the device has failed, with the reason; nothing is analysed any more.
    """

    def __init__(self, model: PoseModel, slots: int, frame_ms: float, on_lost: Callable[[str], None]) -> None:
        self.model = model
        self.slots = slots
        #: Mean time of a call.
        self.call_ms = frame_ms * model.batch
        self._measured_s = time.monotonic()
        self._on_lost = on_lost
        self._lost = False
        self._closing = False
        self._changed = threading.Condition()
        self._waiting: dict[object, Job] = {}
        self._turns: deque[object] = deque()
        self._threads = [
            threading.Thread(target=self._run, name=f"live-engine-{number}", daemon=True) for number in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, job: Job) -> None:
        """Have a frame analysed, in the place of one of its session that still waits."""
        with self._changed:
            before = self._waiting.get(job.session)
            self._waiting[job.session] = job
            if before is None:
                self._turns.append(job.session)
                self._changed.notify()
        if before is not None:
            before.done(None)

    def withdraw(self, session: object) -> None:
        """Drop what waits of a session, whose frame is told that it was superseded."""
        with self._changed:
            job = self._waiting.pop(session, None)
            if job is not None:
                self._turns.remove(session)
        if job is not None:
            job.done(None)

    def measure(self) -> None:
        """Measure what a full call takes now, on the golden images: the median of a few, in the place of what was
        known."""
        times_ms = []
        for _ in range(_CALLS_TO_MEASURE):
            images, scales = zip(*islice(self._trials, self.model.batch), strict=True)
            begun_s = time.monotonic()
            self.model.detect(images, scales)
            times_ms.append(1000 * (time.monotonic() - begun_s))
        self.call_ms, self._measured_s = statistics.median(times_ms), time.monotonic()

    def try_out(self) -> None:
        """Measure a call again where there was none for a while, on a golden image: others may use this machine now."""
        if time.monotonic() - self._measured_s >= _PAUSE_S:
            image, scale = next(self._trials)
            self.offer(Job(self, image, scale, lambda _: None))

    def close(self) -> None:
        """End after the calls that are under way. What waits is dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @cached_property
    def _trials(self) -> Iterator[tuple[Image, float]]:
        """Pictures of people, again and again: the time of two-stage models grows with their number."""
        from pipeline.inference.golden.reference import golden_inputs  # noqa: PLC0415 - the engines' libraries

        return cycle(golden_inputs(self.model.spec.side_px))

    def _run(self) -> None:
        while jobs := self._take():
            self._analyse(jobs)

    def _take(self) -> list[Job]:
        with self._changed:
            self._changed.wait_for(lambda: self._turns or self._closing)
            if self._closing:
                return []
            count = min(len(self._turns), self.model.batch)
            return [self._waiting.pop(self._turns.popleft()) for _ in range(count)]

    def _analyse(self, jobs: Sequence[Job]) -> None:
        begun_s = time.monotonic()
        try:
            found = self._detect(jobs)
        except DeviceUnavailable as error:
            self._fail(jobs, begun_s, error.message)
            if not self._lost:
                self._lost = True
                self._on_lost(error.message)
            return
        except (InvalidOutput, InvalidWeights) as error:
            if len(jobs) > 1:  # one frame must not cost the others theirs
                for job in jobs:
                    self._analyse([job])
                return
            self._fail(jobs, begun_s, error.message)
            return
        except Exception:
            log.exception("live_call_failed")
            self._fail(jobs, begun_s, "it could not be analysed; the process's log says why")
            return
        took_ms = 1000 * (time.monotonic() - begun_s)
        self._note(took_ms)
        for job, poses in zip(jobs, found, strict=True):
            job.done(Analysed(begun_s, took_ms, len(jobs), poses))

    def _note(self, took_ms: float) -> None:
        now_s = time.monotonic()
        newest = _NEWEST if now_s - self._measured_s < _PAUSE_S else _NEWEST_AFTER_A_PAUSE
        self._measured_s = now_s
        self.call_ms += newest * (took_ms - self.call_ms)

    def _detect(self, jobs: Sequence[Job]) -> list[FramePoses]:
        return self.model.detect([job.image for job in jobs], [job.scale for job in jobs])

    def _fail(self, jobs: Sequence[Job], begun_s: float, reason: str) -> None:
        took_ms = 1000 * (time.monotonic() - begun_s)
        for job in jobs:
            job.done(Analysed(begun_s, took_ms, len(jobs), None, reason))
