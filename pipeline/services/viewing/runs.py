"""A run as the viewer reads it, finished or not."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.frame_table import encode_frame_table, plan_segments
from pipeline.core.pose_segment import SegmentFrame, encode_segment
from pipeline.core.states import RunState, VideoState, is_final
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, select_frame_span
from pipeline.db.runs import RunRow, select_run
from pipeline.db.videos import select_video
from pipeline.errors import NotFound
from pipeline.services.index_cache import IndexCache
from pipeline.services.system import System

#: Of zlib: a segment of 300 frames takes 10 ms; 9 takes four times as long for one byte in a hundred.
_LEVEL = 6


@dataclass(frozen=True)
class Packed:
    """Bytes for a browser.

    Args:
        gzipped: the bytes.
        final: whether they will never change, so that they may be kept.
    """

    gzipped: bytes
    final: bool


def run_times(system: System, indexes: IndexCache, video_id: UUID, run_id: UUID, *, team: str | None) -> Packed:
    """The times of the frames of a run's video, with what is needed to draw its poses; `core.frame_table` describes it.

    Raises:
        NotFound: there is no such run of that video, it is another team's, or the video is not ingested yet.
    """
    with transaction(system.engine) as connection:
        run = run_of_video(connection, video_id, run_id, team=team)
        _check_ready(run)
        video = select_video(connection, run.video_id, team=team)
        index = indexes.get(connection, video.id)
    width, height = video.size
    spec = run.model
    header = {
        "run_id": str(run.id),
        "video_id": str(video.id),
        "model": run.model_name,
        "width": width,
        "height": height,
        "indexed_by_position": index.indexed_by_position,
        "keypoints": list(spec.keypoint_names),
        "skeleton": [list(limb) for limb in spec.skeleton],
        "notes": list(video.notes),
    }
    return Packed(gzip.compress(encode_frame_table(index, header), _LEVEL), final=True)


def run_segment(
    system: System, indexes: IndexCache, video_id: UUID, run_id: UUID, number: int, *, team: str | None
) -> Packed:
    """The poses of one segment of a run, with those so far while it goes on; `core.pose_segment` describes it.

    Raises:
        NotFound: there is no such run of that video, it is another team's, or it has no such segment.
    """
    with transaction(system.engine) as connection:
        run = run_of_video(connection, video_id, run_id, team=team)
        _check_ready(run)
        video = select_video(connection, run.video_id, team=team)
        index = indexes.get(connection, run.video_id)
        starts = plan_segments(index)
        if not 0 <= number < len(starts):
            raise NotFound(f"run {run.id} has segments 0 to {len(starts) - 1}, and no {number}")
        first = int(starts[number])
        stop = int(starts[number + 1]) if number + 1 < len(starts) else len(index)
        rows = select_frame_span(connection, run.id, first, stop)
    frames = _frames(run, rows, first, stop)
    final = is_final(run.state) or all(frame.poses is not None for frame in frames)
    header = {"run_id": str(run.id), "segment": number, "first_frame": first, "final": final}
    return Packed(gzip.compress(encode_segment(frames, video.size, header), _LEVEL), final)


def run_of_video(connection: Connection, video_id: UUID, run_id: UUID, *, team: str | None) -> RunRow:
    """One run of a video.

    Raises:
        NotFound: there is no such run, it is another video's, or another team's.
    """
    run = select_run(connection, run_id, team=team)
    if run.video_id != video_id:
        raise NotFound(f"there is no run {run_id} of this video")
    return run


def _frames(run: RunRow, rows: Sequence[FrameRow], first: int, stop: int) -> list[SegmentFrame]:
    """Each frame of the segment; one that is missing may be tried again until the run has ended."""
    without = SegmentFrame(None)
    if is_final(run.state) and run.state is not RunState.DONE:
        ended = "was cancelled" if run.state is RunState.CANCELLED else "failed"
        without = SegmentFrame(None, f"not analysed: the run {ended}")
    frames = [without] * (stop - first)
    for row in rows:
        frames[row.frame - first] = SegmentFrame(row.poses) if row.missing is None else SegmentFrame(None, row.missing)
    return frames


def _check_ready(run: RunRow) -> None:
    if run.video_state is not VideoState.READY:
        raise NotFound(f"{run.video} is {run.video_state}: its frames are known once it is ready")
