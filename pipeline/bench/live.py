"""What each step of a live frame takes, for some numbers of sessions at once, by engine, over a network as at home.

The clients are this process's: on a machine without a GPU they share its cores with the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from pipeline.bench.context import Engine, find_engines
from pipeline.bench.figures import BenchFailed, Unavailable
from pipeline.bench.live_servers import LiveServers, make_live_key, open_live_servers
from pipeline.bench.private_stack import only_benchmark, open_private_stack
from pipeline.bench.report import describe_machine, write_json
from pipeline.bench.slow_network import Network, slowed
from pipeline.core.live_latency import BUDGET_MS, STAGES, TOTAL, Spread, spreads_of
from pipeline.core.live_protocol import Codec, Hello
from pipeline.inference.engines.sessions import cpu_name
from pipeline.remote.live_frames import Answer, LiveRefused
from pipeline.remote.live_stream import Report, stream
from pipeline.video.camera_encoder import build_encoder
from pipeline.video.camera_source import CameraPicture, open_camera

SESSIONS = (1, 2, 4, 8)
_FPS = 30.0
_LONGEST_PX = 640
_PICTURES = 120
#: What is measured begins when all sessions have run for so long.
_WARM_UP_S = 2.0


@dataclass(frozen=True)
class LiveFigure:
    """Some sessions at once, by one engine.

    Args:
        asked: sessions that asked to be let in.
        inside: those that were.
        rate: analysed frames of a session in a second.
        spread_ms: by stage, and in total.
    """

    engine: str
    title: str
    asked: int
    inside: int
    rate: float
    frames: int
    spread_ms: Mapping[str, Spread]


@dataclass(frozen=True)
class LiveReport:
    """Everything that was measured, and on what."""

    machine: Mapping[str, Any]
    network: str
    seconds: float
    figures: tuple[LiveFigure, ...]
    unavailable: tuple[Unavailable, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {**asdict(self), "budget_ms": dict(BUDGET_MS)}

    @property
    def load(self) -> float:
        """Of the machine in the minute before."""
        return float(self.machine["load_average_before"][0])

    def write(self, path: Path) -> None:
        """Write the JSON atomically.

        Raises:
            UsageError: it cannot be written.
        """
        write_json(path, self.to_dict())


def run_live_benchmark(
    home: Path,
    models_path: Path,
    *,
    clip: Path,
    model: str,
    sessions: Sequence[int],
    seconds: float,
    network: Network | None,
    on_step: Callable[[str], None],
) -> LiveReport:
    """Measure on a stack that is started for it in `HOME/bench` and removed afterwards.

    Args:
        sessions: how many at once, one number after the other.
        seconds: of each measurement.
        network: between clients and server; None for loopback.
        on_step: told one line per step.

    Raises:
        UsageError: another benchmark or a worker of the local stack runs, or the model cannot be measured.
        BenchFailed: a measurement could not be made.
    """
    with only_benchmark(home):
        machine = describe_machine(cpu_name())
        engines, unavailable = find_engines(model, models_path)
        for each in unavailable:
            on_step(f"not measured: {each.name} ({each.reason})")
        pictures = _read_pictures(clip)
        figures = []
        with open_private_stack(home, models_path, on_step) as stack:
            key = make_live_key(stack.system)
            for engine in engines:
                with open_live_servers(stack, engine, key, max(sessions)) as servers:
                    for count in sessions:
                        on_step(f"{engine.title}: {count} session{'s' * (count > 1)}")
                        figures.append(asyncio.run(_measure(servers, engine, count, pictures, seconds, network)))
    return LiveReport(machine, str(network or "loopback"), seconds, tuple(figures), tuple(unavailable))


def _read_pictures(clip: Path) -> list[CameraPicture]:
    with open_camera(clip, _LONGEST_PX) as camera:
        return [picture for picture, _ in zip(camera.pictures, range(_PICTURES), strict=False)]


async def _measure(
    servers: LiveServers,
    engine: Engine,
    count: int,
    pictures: Sequence[CameraPicture],
    seconds: float,
    network: Network | None,
) -> LiveFigure:
    trips: list[Mapping[str, float]] = []
    measured_s = time.monotonic() + _WARM_UP_S
    ends_s = measured_s + seconds

    def note(answer: Answer[CameraPicture]) -> None:
        if answer.trip_ms is not None and time.monotonic() >= measured_s:
            trips.append(answer.trip_ms)

    async with AsyncExitStack() as opened:
        port = servers.web_port
        if network is not None:
            port = await opened.enter_async_context(slowed(port, network))
        reports = await asyncio.gather(
            *(_one(servers, port, pictures, ends_s, note) for _ in range(count)), return_exceptions=True
        )
    inside = [report for report in reports if isinstance(report, Report)]
    for report in reports:
        if isinstance(report, BaseException) and not isinstance(report, LiveRefused):
            raise report
    if any(report.reason or not report.agree for report in inside):
        reasons = {report.reason or "the counts do not agree" for report in inside if not report.agree}
        raise BenchFailed(f"{engine.title}, {count} sessions: {', '.join(sorted(reasons))}")
    rate = len(trips) / max(1, len(inside)) / seconds
    return LiveFigure(engine.name, engine.title, count, len(inside), rate, len(trips), spreads_of(trips))


async def _one(
    servers: LiveServers,
    port: int,
    pictures: Sequence[CameraPicture],
    ends_s: float,
    note: Callable[[Answer[CameraPicture]], None],
) -> Report:
    height, width = pictures[0].image.shape[:2]
    encoder = build_encoder(Codec.H264, width, height, _FPS)
    hello = Hello(Codec.H264, width, height, fps=_FPS, name="bench")
    return await stream(
        [servers.way(port)],
        hello,
        _film(pictures, ends_s),
        lambda picture, keyframe: encoder.encode(picture.image, keyframe=keyframe),
        on_answer=note,
    )


def _film(pictures: Sequence[CameraPicture], ends_s: float) -> Iterator[CameraPicture]:
    """The pictures again and again, at the rate of a camera."""
    for number, picture in enumerate(cycle(pictures)):
        if time.monotonic() >= ends_s:
            return
        yield CameraPicture(number, number, number / _FPS, picture.image)


def live_headings() -> tuple[str, ...]:
    """The headings of `live_rows`."""
    return ("median/p95 in ms", "sessions", "frames/s", *(stage for stage in STAGES if stage != "render"), TOTAL)


def live_rows(figures: Sequence[LiveFigure]) -> list[tuple[str, ...]]:
    """A row for each figure, and the budget."""
    stages = live_headings()[3:]
    rows = [
        (
            figure.title,
            str(figure.asked) if figure.inside == figure.asked else f"{figure.inside} of {figure.asked}",
            f"{figure.rate:.1f}",
            *(_pair(figure.spread_ms.get(stage)) for stage in stages),
        )
        for figure in figures
    ]
    return [*rows, ("budget", "", f"{_FPS:g}", *(f"{BUDGET_MS[s]:g}" if s in BUDGET_MS else "" for s in stages))]


def _pair(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.0f}/{spread.p95:.0f}"
