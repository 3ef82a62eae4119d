"""Single pictures of a run: the contact sheet, and the thumbnail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from pipeline.core.files import write_atomically
from pipeline.core.preview_tag import with_preview_tag
from pipeline.core.progress import Progress
from pipeline.db.frames import FrameRow
from pipeline.errors import RunFailed
from pipeline.services.pose_writers import time_s
from pipeline.services.preview.footage import Footage
from pipeline.services.preview.people import Image, draw_people, resized
from pipeline.video.reader import VideoReader

SHEET_WIDTH_PX = 1800
#: Columns and rows of the sheet; an upright picture is narrow.
WIDE, UPRIGHT = (3, 2), (4, 2)
#: The longest side of a thumbnail.
THUMBNAIL_PX = 320
_JPEG_QUALITY = 85
#: So many keyframes are compared for a thumbnail, all over the video.
_CANDIDATES = 24
#: A video indexed by position is decoded from its start.
_NEAR_START = 120
#: A still is of the end of this part of a video: beginnings are often dark.
_STILL_PART = 3
#: Of a stretch of frames, at either end.
_MARGIN = 1 / 6
_WHITE, _GREY = (255, 255, 255), (40, 40, 40)


def draw_sheet(footage: Footage, to: Path, progress: Progress) -> tuple[str, ...]:
    """Write the contact sheet (PNG). Returns what is not in it.

    Raises:
        RunFailed: none of the frames chosen can be decoded.
    """
    columns, rows = WIDE if footage.video.size[0] >= footage.video.size[1] else UPRIGHT
    cells = min(columns * rows, footage.drawable)
    columns = min(columns, cells)
    progress.total(cells)
    tiles = []
    for row in _choose(footage, cells):
        frame = footage.frame(row)
        if frame is not None:
            width = SHEET_WIDTH_PX // columns
            tiles.append(_tile(frame.image, row, footage.run.model.skeleton, width, footage.index.time_base))
        progress.advance()
    if not tiles:
        raise _unreadable(footage)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_atomically(to, with_preview_tag(_encode(".png", np.vstack(lines)), footage.run.id))
    return footage.what_is_missing()


def draw_best(footage: Footage) -> bytes:
    """A JPEG of one keyframe with its people, the most people among some.

    Raises:
        RunFailed: the run has no frame that can be decoded.
    """
    for row in _candidates(footage):
        frame = footage.frame(row)
        if frame is not None:
            # Drawn at twice the size, so that thin lines and small joints come out smooth.
            double = _within(frame.image, 2 * THUMBNAIL_PX)
            draw_people(double, row, footage.run.model.skeleton, double.shape[1] / frame.image.shape[1])
            return _encode(".jpg", _within(double, THUMBNAIL_PX), cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
    raise _unreadable(footage)


def draw_still(reader: VideoReader) -> bytes | None:
    """A JPEG of one keyframe of a video without people; None where it cannot be decoded."""
    keyframes = np.flatnonzero(reader.index.keyframe)
    number = 0 if reader.index.indexed_by_position else int(keyframes[len(keyframes) // _STILL_PART])
    with closing(reader.frames(number, number + 1)) as frames:
        frame = next(frames, None)
    if frame is None:
        return None
    return _encode(".jpg", _within(frame.image, THUMBNAIL_PX), cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)


def _within(image: Image, longest: int) -> Image:
    """A copy whose longer side is `longest`, or the image's own where that is less."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(width, height))
    return resized(image, max(1, round(width * scale)), max(1, round(height * scale)))


def _candidates(footage: Footage) -> Iterator[FrameRow]:
    """Frames that are quickly decoded, the best first; the run's first ones where none of the keyframes is there."""
    numbers = np.flatnonzero(footage.index.keyframe)
    if footage.index.indexed_by_position:
        numbers = np.arange(min(_NEAR_START, len(footage.index)))
    if len(numbers) > _CANDIDATES:
        numbers = numbers[np.linspace(0, len(numbers) - 1, _CANDIDATES).astype(int)]
    yield from sorted(footage.rows(numbers.tolist()), key=_interest, reverse=True)
    yield from islice(footage.rows(), 3)


def _choose(footage: Footage, cells: int) -> list[FrameRow]:
    """From each of `cells` equal stretches of the frames, the one with most people, then the best scores.

    Frames at a stretch's ends count only where there are no others: those of two stretches would look alike.
    """
    best: dict[int, tuple[tuple[bool, int, float], FrameRow]] = {}
    for at, row in enumerate(footage.rows()):
        cell, rest = divmod(at * cells, footage.drawable)
        inside = _MARGIN <= rest / footage.drawable < 1 - _MARGIN
        rank = (inside, *_interest(row))
        if cell not in best or rank > best[cell][0]:
            best[cell] = rank, row
    return [best[cell][1] for cell in sorted(best)]


def _interest(row: FrameRow) -> tuple[int, float]:
    return len(row.poses), float(row.poses.scores.sum())


def _tile(image: Image, row: FrameRow, skeleton: Sequence[Sequence[int]], width: int, time_base: Fraction) -> Image:
    border = 3
    width -= 2 * border
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    tile = resized(image, width, height)
    draw_people(tile, row, skeleton, width / image.shape[1])
    people = len(row.poses)
    label = f"{time_s(row.pts, time_base):.2f} s   {people} {'person' if people == 1 else 'people'}"
    (wide, high), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    cv2.rectangle(tile, (0, height - high - 20), (wide + 20, height), _GREY, -1)
    cv2.putText(tile, label, (10, height - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _WHITE, 1, cv2.LINE_AA)
    bordered = cv2.copyMakeBorder(tile, border, border, border, border, cv2.BORDER_CONSTANT, value=_WHITE)
    return bordered.astype(np.uint8, copy=False)


def _encode(ending: str, image: Image, *options: int) -> bytes:
    done, data = cv2.imencode(ending, image, options)
    assert done
    return data.tobytes()


def _unreadable(footage: Footage) -> RunFailed:
    return RunFailed(f"none of the frames chosen of run {footage.run.id} could be decoded; analyse the video again")
