"""Draw a run's skeletons: an annotated video (MP4), or a contact sheet of chosen frames (PNG)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.core.files import write_atomically
from pipeline.core.frame_index import FrameIndex
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, iter_frame_rows
from pipeline.db.runs import RunRow, select_run
from pipeline.db.videos import VideoRow, select_frame_index, select_video
from pipeline.errors import RunFailed, UsageError
from pipeline.services.export import checked_target
from pipeline.services.pose_writers import time_s
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import Frame, VideoReader
from pipeline.video.video_writer import VideoWriter

Image = npt.NDArray[np.uint8]

#: BGR, one a person; the colour-blind can distinguish them, too (Okabe and Ito, 2008).
COLOURS = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204)]
#: Joints less certain than this are not drawn.
MIN_CONFIDENCE = 0.2
#: Keypoints further off, in longest sides of the image, are not drawn: OpenCV's coordinates would overflow.
FARTHEST = 16
SHEET_COLUMNS, SHEET_ROWS = 3, 2
SHEET_WIDTH_PX = 1800
VIDEO_SIDE_PX = 1280


@dataclass(frozen=True)
class Preview:
    path: Path
    notes: tuple[str, ...] = ()


def draw_thumbnail(system: System, run_id: UUID, *, team: str | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = preview_run(system, run_id, Path(folder) / "x.png", team=team).path
        image = cv2.imread(str(path))
        assert image is not None
        return cv2.imencode(".jpg", cv2.resize(image, (320, 180)))[1].tobytes()


def preview_run(
    system: System,
    run_id: UUID,
    to: Path,
    *,
    team: str | None,
    progress: Progress = SILENT,
) -> Preview:
    """Write an annotated video (`.mp4`) or a contact sheet (`.png`) of a run that is done. `progress` counts frames.

    Raises:
        NotFound: there is no such run, or it is another team's.
        UsageError: another ending, or the file cannot be written.
        RunFailed: the run is not done.
    """
    if to.suffix.lower() not in {".mp4", ".png"}:
        raise UsageError(f"{to.name} must end in .mp4 for a video or .png for a contact sheet")
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=team)
        if run.state is not RunState.DONE:
            raise RunFailed(f"run {run.id} is {run.state}; only a run that is done can be drawn")
        video = select_video(connection, run.video_id, team=team)
        index = select_frame_index(connection, run.video_id)
    to = checked_target(to)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.suffix.lower() == ".png":
            _draw_sheet(system, run, video, index, to, progress)
        else:
            _draw_video(system, run, video, index, to, progress)
    except OSError as error:
        raise UsageError(f"{to} cannot be written: {error.strerror}; choose another with --out") from error
    return Preview(to)


def draw_people(image: Image, row: FrameRow, skeleton: Sequence[Sequence[int]], scale: float = 1.0) -> None:
    """Draw a frame's skeletons onto `image`, which is `scale` times the frame that the poses are in."""
    thickness = max(2, round(max(image.shape[:2]) / 400))
    for i in range(len(row.poses)):
        colour = COLOURS[i % len(COLOURS)]
        points = row.poses.keypoints[i, :, :2] * scale
        sure = row.poses.keypoints[i, :, 2] >= MIN_CONFIDENCE
        sure &= (np.abs(points) < FARTHEST * max(image.shape)).all(axis=1)
        at = [(round(float(x)), round(float(y))) for x, y in points]
        for a, b in skeleton:
            if sure[a] and sure[b]:
                cv2.line(image, at[a], at[b], colour, thickness, cv2.LINE_AA)
        for k, centre in enumerate(at):
            if sure[k]:
                cv2.circle(image, centre, thickness + 1, (255, 255, 255), -1, cv2.LINE_AA)
                cv2.circle(image, centre, thickness, colour, -1, cv2.LINE_AA)


def _draw_video(
    system: System,
    run: RunRow,
    video: VideoRow,
    index: FrameIndex,
    to: Path,
    progress: Progress,
) -> None:
    progress.total(len(index))
    width, height = video.size
    scale = min(1.0, VIDEO_SIDE_PX / max(width, height))
    # Even sides: the encoder halves the colour planes.
    size = (max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2))
    with VideoWriter.open(to, width=size[0], height=size[1], time_base=index.time_base) as writer:
        at = -1
        rows = iter_frame_rows(system.engine, run.id)
        frames = _frames(system, video, index, 0, len(index))
        for row, frame in _pairs(rows, frames):
            image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
            drawn = np.ascontiguousarray(image, dtype=np.uint8)
            draw_people(drawn, row, run.model.skeleton, size[0] / width)
            at = max(at + 1, row.pts - int(index.pts[0]))  # frames that share a time follow each other
            writer.write(drawn, at)
            progress.advance()


def _draw_sheet(
    system: System,
    run: RunRow,
    video: VideoRow,
    index: FrameIndex,
    to: Path,
    progress: Progress,
) -> None:
    cells = min(SHEET_COLUMNS * SHEET_ROWS, len(index))
    progress.total(cells)
    chosen = _choose(system, run.id, len(index), cells)
    tiles = []
    width = SHEET_WIDTH_PX // SHEET_COLUMNS
    for row in chosen:
        tiles += [
            _tile(frame.image, row, run.model.skeleton, width, index.time_base)
            for frame in _frames(system, video, index, row.frame, row.frame + 1)
        ]
        progress.advance()
    if not tiles:
        raise RunFailed("none of the frames chosen could be read; analyse the video again")
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % SHEET_COLUMNS)
    lines = [np.hstack(tiles[i : i + SHEET_COLUMNS]) for i in range(0, len(tiles), SHEET_COLUMNS)]
    done, data = cv2.imencode(".png", np.vstack(lines))
    assert done
    write_atomically(to, data.tobytes())


def _choose(system: System, run_id: UUID, frames: int, cells: int) -> list[FrameRow]:
    """From each of `cells` equal stretches of frames, the one with most people, then the best scores."""
    best: dict[int, FrameRow] = {}
    for row in iter_frame_rows(system.engine, run_id):
        if row.missing is not None:
            continue
        cell = row.frame * cells // frames
        if cell not in best or _interest(row) > _interest(best[cell]):
            best[cell] = row
    return [best[cell] for cell in sorted(best)]


def _interest(row: FrameRow) -> tuple[int, float]:
    return len(row.poses), float(row.poses.scores.sum())


def _tile(image: Image, row: FrameRow, skeleton: Sequence[Sequence[int]], width: int, time_base: Fraction) -> Image:
    height = round(image.shape[0] * width / image.shape[1])
    tile = np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    draw_people(tile, row, skeleton, width / image.shape[1])
    people = len(row.poses)
    label = f"{time_s(row.pts, time_base):.2f} s   {people} {'person' if people == 1 else 'people'}"
    (wide, high), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    cv2.rectangle(tile, (0, height - high - 20), (wide + 20, height), (40, 40, 40), -1)
    cv2.putText(tile, label, (10, height - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return cv2.copyMakeBorder(tile, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255)).astype(np.uint8)


def _frames(system: System, video: VideoRow, index: FrameIndex, first: int, stop: int) -> Iterator[Frame]:
    assert video.source is not None
    source, limits = ObjectSource(system.store, video.source), limits_of_ready(system, video)
    return VideoReader(source, index, video.size, limits).frames(first, stop)


def _pairs(rows: Iterator[FrameRow], frames: Iterator[Frame]) -> Iterator[tuple[FrameRow, Frame]]:
    """Each decoded frame with its row; rows whose frame is missing are skipped."""
    for frame in frames:
        for row in rows:
            if row.frame == frame.number:
                yield row, frame
                break
