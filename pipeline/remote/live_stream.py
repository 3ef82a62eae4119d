"""Send a camera's or a file's pictures to a live session, at their own times, and report how it went."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from pipeline.core.live_latency import BUDGET_MS, Spread, spreads_of
from pipeline.core.live_protocol import Hello
from pipeline.core.live_results import Fate
from pipeline.remote.live import CameraSession
from pipeline.remote.live_door import Way, open_live
from pipeline.remote.live_fates import Fates
from pipeline.remote.live_frames import Answer, Encode

_SECOND_S: Final = 1.0
#: Frames of which the latency is kept: half an hour.
_KEPT: Final = 54_000


class TimedPicture(Protocol):
    """One picture of a camera."""

    @property
    def number(self) -> int:
        """Its place among all."""

    @property
    def due_s(self) -> float | None:
        """When it is to be shown, from the first one on; None where it comes when it is captured."""


C = TypeVar("C", bound=TimedPicture)


@dataclass(frozen=True)
class Second:
    """What happened lately.

    Args:
        at_s: since the session began.
        rate: analysed frames in a second.
        people: in the newest one.
        spread_ms: by stage.
        mode: of the session now.
    """

    at_s: float
    rate: float
    people: int
    spread_ms: Mapping[str, Spread]
    mode: str


@dataclass(frozen=True)
class Report:
    """How a session went.

    Args:
        seconds: from its first frame to its end.
        spread_ms: of the analysed frames, by stage.
        agree: whether the server counted the same fates; None where it did not say.
        reason: why it ended early; empty where it did not.
        video: id of the video that it became, where it was to be kept.
        not_kept: why it was not kept, or not all of it; empty where it was.
    """

    session: str
    model: str
    device: str
    seconds: float
    fates: Fates
    spread_ms: Mapping[str, Spread]
    agree: bool | None
    reason: str
    video: str | None = None
    not_kept: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {**asdict(self), "budget_ms": dict(BUDGET_MS)}


@dataclass
class _Tally(Generic[C]):
    """Counts the answers of a session, and passes them on."""

    on_answer: Callable[[Answer[C]], None]
    trips: deque[Mapping[str, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    lately: list[Mapping[str, float]] = field(default_factory=list)
    analysed: int = 0
    people: int = 0

    def take(self, answer: Answer[C]) -> None:
        """Count one."""
        if answer.result.fate is Fate.ANALYSED:
            self.analysed += 1
            self.people = len(answer.result.poses or ())
        if answer.trip_ms is not None:
            self.lately.append(answer.trip_ms)
            self.trips.append(answer.trip_ms)
        self.on_answer(answer)

    def second(self, at_s: float, took_s: float, mode: str) -> Second:
        """What happened since the last call."""
        found = Second(at_s, self.analysed / took_s, self.people, spreads_of(self.lately), mode)
        self.analysed, self.lately = 0, []
        return found


async def stream(
    ways: Iterable[Way],
    hello: Hello,
    pictures: Iterator[C],
    encode: Encode[C],
    *,
    speed: float = 1.0,
    stop: asyncio.Event | None = None,
    on_starting: Callable[[str], None] = lambda _: None,
    on_ready: Callable[[Mapping[str, Any]], None] = lambda _: None,
    on_answer: Callable[[Answer[C]], None] = lambda _: None,
    on_second: Callable[[Second], None] = lambda _: None,
) -> Report:
    """Send pictures until there are none, `stop` is set, or the server ends the session.

    Args:
        speed: of a file, such as 2 for twice as fast.
        on_starting: called with the reason where the server takes a while before it takes frames.
        on_ready: called with the server's first message.
        on_answer: called with what became of each frame that was sent.
        on_second: called once a second.

    Raises:
        LiveRefused: the server has no room.
        ServiceUnavailable: it does not answer.
        PoselineError: as it says.
    """
    stop, tally = stop or asyncio.Event(), _Tally(on_answer)
    async with open_live(ways, hello, encode, tally.take, on_starting) as session:
        on_ready(session.ready)
        begun_s = time.monotonic()
        watching = asyncio.create_task(_watch(session, tally, begun_s, on_second))
        try:
            await _play(session, pictures, speed, stop)
            await session.end()
        finally:
            watching.cancel()
        seconds = time.monotonic() - begun_s
    summary = session.summary
    return Report(
        session=str(session.ready["session"]),
        model=str(session.ready["model"]),
        device=str(session.ready["device"]),
        seconds=seconds,
        fates=session.fates,
        spread_ms=spreads_of(list(tally.trips)),
        agree=None if summary is None else session.fates.agree(summary),
        reason="" if summary is not None else session.reason or "the server did not answer in time",
        video=session.video,
        not_kept=session.not_kept,
    )


async def _watch(
    session: CameraSession[C], tally: _Tally[C], begun_s: float, on_second: Callable[[Second], None]
) -> None:
    before_s = begun_s
    while True:
        await asyncio.sleep(_SECOND_S)
        now_s = time.monotonic()
        on_second(tally.second(now_s - begun_s, now_s - before_s, session.mode))
        before_s = now_s


async def _play(session: CameraSession[C], pictures: Iterator[C], speed: float, stop: asyncio.Event) -> None:
    """Hand each picture to the session when it is due, or as soon as it is there."""
    loop, begun_s = asyncio.get_running_loop(), 0.0
    ended = asyncio.create_task(_first(stop, session.over))
    with ThreadPoolExecutor(1, "live-camera") as thread:
        try:
            reading = loop.run_in_executor(thread, next, pictures, None)
            while True:
                both: set[asyncio.Future[Any]] = {reading, ended}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() or (picture := reading.result()) is None:
                    return
                captured_s = time.monotonic()
                reading = loop.run_in_executor(thread, next, pictures, None)
                if picture.due_s is not None:
                    begun_s = begun_s or captured_s - picture.due_s / speed
                    due_s = begun_s + picture.due_s / speed
                    await asyncio.wait({ended}, timeout=max(0.0, due_s - captured_s))
                    captured_s = max(captured_s, due_s)
                if ended.done():
                    return
                capture_ms = 1000 * (time.monotonic() - captured_s)
                session.capture(picture.number, picture, 1000 * captured_s, capture_ms)
        finally:
            ended.cancel()
            await asyncio.wait({reading})


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
