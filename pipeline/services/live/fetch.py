"""The poses of a kept live session, fetched from its video: what a worker does with a chunk of a live run."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from pipeline.core.live_record import Entry, LiveRecord
from pipeline.core.mp4 import TIMESCALE
from pipeline.core.poses import FramePoses
from pipeline.db.chunks import ClaimedChunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, FrameSpool
from pipeline.db.videos import select_video
from pipeline.services.chunk_poses import Pulse
from pipeline.services.system import System
from pipeline.storage.blocks import ObjectSource

NOT_LIVE: Final = "it is no frame that was received live"


def fetch_live_poses(
    spool: FrameSpool, system: System, claimed: ClaimedChunk, about: Mapping[str, Any], pulse: Pulse
) -> str:
    """Add what was found live in a chunk's frames to the spool. Returns the engine and device that computed it.

    A frame has the poses of the moment that it was captured at, by its exact pts.

    Args:
        about: what the run says of its session.

    Raises:
        ValueError: the video does not hold the session's poses, or they are damaged.
        SourceGone: the video's object changed or went away.
    """
    with transaction(system.engine) as connection:
        video = select_video(connection, claimed.video_id, team=None)
        index = system.indexes.get(connection, claimed.video_id)
    assert video.source is not None
    system.store.check_unchanged(video.source)
    source = ObjectSource(system.store, video.source)
    record = LiveRecord(source.read_at, source.size_bytes, UUID(about["session"]))
    plan = claimed.plan
    numbers = range(plan.first_frame, plan.first_frame + plan.frames)
    sent, read = tuple(about["size"]), tuple(video.size)
    other = None
    if sent != read:
        other = f"the picture is {sent[0]} x {sent[1]} live, and {read[0]} x {read[1]} in the video"
    elif index.time_base != Fraction(1, TIMESCALE):
        other = "the times of the video are not those of the live session"
    found: dict[int, Entry] = {}
    if other is None and plan.frames:
        first, last = int(index.pts[numbers[0]]), int(index.pts[numbers[-1]])
        found = dict(record.iter_entries(first, last + 1))
    for number in numbers:
        pts = int(index.pts[number])
        entry = found.get(pts) or Entry(FramePoses.empty(), other or NOT_LIVE)
        spool.add(FrameRow(number, pts, entry.poses, entry.reason))
        pulse.advance()
        pulse.check()
    return f"{about['device']}, live"
