"""`poseline live --camera`: send a file's or a camera's pictures to a live process, and print how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import signal
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.cli.camera_options import Wanted
from pipeline.cli.console import Console
from pipeline.core.live_latency import BUDGET_MS, STAGES, TOTAL, Spread
from pipeline.core.live_protocol import Codec, Hello, Mode
from pipeline.errors import PoselineError, UnknownTeam, UsageError

if TYPE_CHECKING:
    from pipeline.remote.live_door import Way
    from pipeline.remote.live_frames import Answer
    from pipeline.remote.live_stream import Report, Second
    from pipeline.video.camera_source import CameraPicture, OpenCamera

_NAME_LENGTH = 200


def run_camera(console: Console, wanted: Wanted) -> None:
    """Send a camera's pictures until there are none, or Ctrl-C.

    Raises:
        UsageError: there is no such file or camera, or the poses cannot be written.
        LiveRefused: the server has no room.
        PoselineError: the server ended the session, or counted other fates.
    """
    from pipeline.remote.live_stream import stream  # noqa: PLC0415 - OpenCV and PyAV, not for --help
    from pipeline.video.camera_encoder import build_encoder  # noqa: PLC0415
    from pipeline.video.camera_source import open_camera  # noqa: PLC0415

    if wanted.keep and wanted.speed != 1:
        raise UsageError("--keep keeps the times at which pictures are sent: leave out --speed")
    codec = Codec(wanted.codec)
    with open_camera(wanted.camera, wanted.side) as camera, _open_poses(wanted.out, camera) as poses:
        encoder = build_encoder(codec, camera.width, camera.height, camera.fps)
        name = "".join(c if c.isprintable() else " " for c in wanted.camera.name)[:_NAME_LENGTH]
        fps = min(240.0, max(1.0, camera.fps * wanted.speed))
        hello = Hello(codec, camera.width, camera.height, Mode(wanted.mode), fps=fps, name=name, keep=wanted.keep)

        async def send() -> Report:
            with closing(_iter_ways(console, wanted.team, hello)) as ways, _stopped_by_ctrl_c() as stop:
                return await stream(
                    ways,
                    hello,
                    camera.pictures,
                    lambda picture, keyframe: encoder.encode(picture.image, keyframe=keyframe),
                    speed=wanted.speed,
                    stop=stop,
                    on_starting=lambda reason: console.progress(f"waiting: {reason}"),
                    on_ready=lambda ready: _print_ready(console, ready, camera),
                    on_answer=poses.write,
                    on_second=lambda second: _print_second(console, second),
                )

        report = asyncio.run(send())
    _print_report(console, report, wanted.out)
    if wanted.keep:
        _print_kept(console, report)
    if report.reason:
        raise PoselineError(f"the session ended early: {report.reason}")
    if not report.agree:
        raise PoselineError("the server counted other fates than this side did; please report this")
    if wanted.keep and report.video is None:
        raise PoselineError("nothing of the session was kept")


def _iter_ways(console: Console, team: str | None, hello: Hello) -> Generator[Way, None, None]:
    from pipeline.remote.live_door import Way  # noqa: PLC0415

    login = console.login
    if login is not None:
        if team not in {None, login.team}:
            raise UnknownTeam(f"this key is of team {login.team!r}: leave --team out")
        url = f"{login.origin.replace('http', 'ws', 1)}/api/v1{login.team_path}/live"
        yield Way(url, {"Authorization": f"Bearer {login.key}"})
        return
    from pipeline.services.live.direct import iter_processes  # noqa: PLC0415

    console.ensure_stack()
    with closing(iter_processes(console.system, team or console.client.own_team, hello)) as processes:
        for url, headers in processes:
            yield Way(url, headers)


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(ValueError, RuntimeError):  # not the main thread
        for number in numbers:
            loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)


class _Poses:
    """Writes results as an export has them, in the order of the frames, in pixels of the file or the device."""

    #: Frames that can be under way, and so overtaken.
    _HELD = 4

    def __init__(self, file: IO[bytes] | None, camera: OpenCamera) -> None:
        from pipeline.services.pose_writers import JsonLines  # noqa: PLC0415

        self._lines = None if file is None else JsonLines(file, camera.time_base)
        self._scale = camera.scale
        self._held: list[tuple[int, Any]] = []

    def write(self, answer: Answer[CameraPicture]) -> None:
        """Write what became of a frame; those that were superseded are left out."""
        if self._lines is None or (row := self._row(answer)) is None:
            return
        heapq.heappush(self._held, (row.frame, row))
        if len(self._held) > self._HELD:
            self._lines.write(heapq.heappop(self._held)[1])

    def flush(self) -> None:
        """Write what was held back."""
        while self._lines is not None and self._held:
            self._lines.write(heapq.heappop(self._held)[1])

    def _row(self, answer: Answer[CameraPicture]) -> Any:
        from pipeline.core.live_results import Fate  # noqa: PLC0415
        from pipeline.core.poses import FramePoses  # noqa: PLC0415
        from pipeline.db.frames import FrameRow  # noqa: PLC0415

        result, picture, (across, down) = answer.result, answer.picture, self._scale
        if result.fate is Fate.FAILED:
            return FrameRow(picture.number, picture.pts, FramePoses.empty(), result.reason)
        if result.poses is None:
            return None
        boxes, keypoints = result.poses.boxes_xyxy.copy(), result.poses.keypoints.copy()
        boxes[:, 0::2] /= across
        boxes[:, 1::2] /= down
        keypoints[..., 0] /= across
        keypoints[..., 1] /= down
        return FrameRow(picture.number, picture.pts, FramePoses(result.poses.scores, boxes, keypoints))


@contextmanager
def _open_poses(out: Path | None, camera: OpenCamera) -> Iterator[_Poses]:
    """Where results go: as they come, so that what was there before an end is kept."""
    if out is None:
        yield _Poses(None, camera)
        return
    try:
        file = out.open("wb")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
    with file:
        poses = _Poses(file, camera)
        try:
            yield poses
        finally:
            poses.flush()


def _print_ready(console: Console, ready: Mapping[str, Any], camera: OpenCamera) -> None:
    console.progress(
        f"{camera.width} x {camera.height} at {camera.fps:.3g} frames/s to {ready['model']} on {ready['device']}"
    )


def _print_second(console: Console, second: Second) -> None:
    total = second.spread_ms.get(TOTAL)
    if total is None:
        console.progress(f"{second.at_s:6.0f} s  nothing was analysed")
        return
    stages = ", ".join(f"{name} {second.spread_ms[name].median:.0f}" for name in STAGES if name in second.spread_ms)
    people = "1 person" if second.people == 1 else f"{second.people} people"
    mode = "" if second.mode == Mode.FULL else f"  {second.mode}"
    console.progress(
        f"{second.at_s:6.0f} s  {second.rate:4.1f} frames/s  {total.median:.0f} ms, p95 {total.p95:.0f}  ({stages})  "
        f"{people}{mode}"
    )


def _print_report(console: Console, report: Report, out: Path | None) -> None:
    if console.print_json({**report.to_dict(), "out": None if out is None else str(out)}):
        return
    console.table(("", "median ms", "p95 ms", "budget ms"), latency_rows(report.spread_ms))
    console.print("")
    fates = {name: count for name, count in asdict(report.fates).items() if count or name in {"sent", "analysed"}}
    console.print(", ".join(f"{name} {count}" for name, count in fates.items()))
    if report.agree:
        console.print(f"the server counted the same, in {report.seconds:.1f} s of session {report.session}")
    if out is not None:
        console.print(f"  {out}")


def _print_kept(console: Console, report: Report) -> None:
    if report.not_kept:
        console.notice(f"{'not all of it was kept' if report.video else 'it was not kept'}: {report.not_kept}")
    if report.video is not None:
        login = console.login
        where = "" if login is None else f": {login.origin}/t/{login.team_id}/videos/{report.video}"
        console.print(f"kept as video {report.video}{where}")


def latency_rows(spread_ms: Mapping[str, Spread]) -> list[tuple[str, str, str, str]]:
    """A row for each stage that was measured, and for the total."""
    return [
        (name, f"{spread.median:.1f}", f"{spread.p95:.1f}", f"{BUDGET_MS[name]:g}" if name in BUDGET_MS else "")
        for name in (*STAGES, TOTAL)
        if (spread := spread_ms.get(name)) is not None
    ]
