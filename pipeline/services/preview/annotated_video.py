"""The annotated video: every frame at its own time and size, with the sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from pipeline.core.frame_index import FrameIndex
from pipeline.core.preview_tag import preview_tag
from pipeline.core.progress import Progress
from pipeline.services.preview.footage import Footage
from pipeline.services.preview.people import Image, draw_people, resized
from pipeline.video.decode_request import SOUND_RATE_HZ
from pipeline.video.reader import Frame
from pipeline.video.sound_reader import SoundReader, open_sound
from pipeline.video.video_writer import VideoWriter, encodable_size


def draw_video(footage: Footage, to: Path, progress: Progress) -> tuple[str, ...]:
    """Write the annotated video (MP4, H.264 and AAC); its first frame is at time zero. Returns what is changed."""
    progress.total(footage.drawable)
    size, skeleton = encodable_size(*footage.video.size), footage.run.model.skeleton
    index, first = footage.index, footage.spans[0][0]
    first_pts, stop_s = int(index.pts[first]), _end_s(footage)
    with (
        open_sound(footage.source, footage.limits, first_pts * index.time_base, stop_s) as sound,
        VideoWriter.open(
            to,
            size=size,
            time_base=index.time_base,
            usual_fps=usual_fps(index),
            comment=preview_tag(footage.run.id),
            channels=sound.channels,
            rate_hz=SOUND_RATE_HZ,
        ) as writer,
    ):
        at, heard = -1, 0
        for row, frame in footage.frames():
            image = _fit(frame, size)
            draw_people(image, row, skeleton, min(1.0, size[0] / footage.video.size[0]))
            at = max(at + 1, row.pts - first_pts)  # frames that share a time follow each other
            heard = copy_sound(sound, writer, heard, at * index.time_base)
            writer.write(image, at)
            progress.advance()
        copy_sound(sound, writer, heard, stop_s - first_pts * index.time_base)
    return (*_size_note(footage.video.size, size), *_sound_notes(sound), *footage.what_is_missing())


def _end_s(footage: Footage) -> Fraction:
    """When the last frame ends: the last of the video is shown as long as the one before."""
    pts, stop = footage.index.pts, footage.spans[-1][1]
    if stop < len(pts):
        return int(pts[stop]) * footage.index.time_base
    step = max(1, int(pts[-1] - pts[-2])) if len(pts) > 1 else 1
    return (int(pts[-1]) + step) * footage.index.time_base


def usual_fps(index: FrameIndex) -> Fraction:
    """The mean rate over the whole video, between 1 and 1000."""
    seconds = int(index.pts[-1] - index.pts[0]) * index.time_base
    mean = (len(index) - 1) / seconds if seconds else Fraction(30)
    return min(max(mean, Fraction(1)), Fraction(1000)).limit_denominator(1001)


def copy_sound(sound: SoundReader, writer: VideoWriter, heard: int, until_s: Fraction) -> int:
    """Write the sound up to a time, a second at a time. Returns how many samples are written."""
    stop = int(until_s * SOUND_RATE_HZ)
    while sound.channels and heard < stop:
        count = min(SOUND_RATE_HZ, stop - heard)
        writer.write_sound(sound.read(count))
        heard += count
    return heard


def _fit(frame: Frame, size: tuple[int, int]) -> Image:
    """A copy of the picture at the size of the video: reduced, or its last line and column repeated."""
    height, width = frame.image.shape[:2]
    if size[0] < width or size[1] < height:
        return resized(frame.image, *size)
    below, right = size[1] - height, size[0] - width
    if not (below or right):
        return frame.image.copy()
    return cv2.copyMakeBorder(frame.image, 0, below, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _size_note(was: tuple[int, int], now: tuple[int, int]) -> tuple[str, ...]:
    if now == was:
        return ()
    why = "H.264 needs even sides" if now[0] >= was[0] else "H.264 has no larger pictures"
    return (f"the preview is {now[0]} x {now[1]}, the video {was[0]} x {was[1]}: {why}",)


def _sound_notes(sound: SoundReader) -> tuple[str, ...]:
    if sound.failure is None:
        return (f"of the sound, {' and '.join(sound.changes)}",) if sound.channels and sound.changes else ()
    if not sound.channels:
        return (f"the preview has no sound: {sound.failure}",)
    return (f"the preview has no sound after {sound.failed_at_s:.1f} s: {sound.failure}",)
