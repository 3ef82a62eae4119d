"""The copy of a video that every browser plays: made by a worker once somebody asks, with the same frames at the same
times, smaller, with the sound. What is drawn over it is looked up by these times.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.frame_index import FrameIndex
from pipeline.core.object_keys import proxy_key
from pipeline.core.objects import StoredObject
from pipeline.db.engine import transaction
from pipeline.db.leases import Lease
from pipeline.db.proxies import (
    claim_proxy,
    mark_proxy_failed,
    mark_proxy_ready,
    select_proxy,
)
from pipeline.db.teams import find_team_id
from pipeline.db.videos import VideoRow, select_frame_index, select_video
from pipeline.errors import LeaseLost, SourceGone, VideoRejected
from pipeline.logs import get_logger, log_context
from pipeline.services.dispatch import dispatch
from pipeline.services.lease_heartbeat import LeaseHeartbeat
from pipeline.services.leased_work import WorkKind, leased_work
from pipeline.services.preview.annotated_video import copy_sound, usual_fps
from pipeline.services.preview.people import resized
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.decode_request import SOUND_RATE_HZ
from pipeline.video.reader import VideoReader
from pipeline.video.sound_reader import open_sound
from pipeline.video.video_writer import VideoWriter

log = get_logger(__name__)

#: The shorter side. A skeleton can be judged on it, and a phone plays it.
_SHORT_SIDE_PX = 540
_COMMENT = "made by Poseline for browsers"


@dataclass(frozen=True)
class _Claimed:
    lease: Lease
    video: VideoRow
    index: FrameIndex
    team_id: UUID


def make_proxy(system: System, video_id: UUID, worker: str, stopping: threading.Event | None = None) -> None:
    """Make the copy that a message names; a stale or doubled message does nothing.

    Raises:
        SourceGone, DecodeFailed: it cannot be made; its row says why.
    """

    def claim(connection: Connection) -> _Claimed | None:
        lease = claim_proxy(connection, video_id, worker, system.settings.lease_s)
        if lease is None:
            return None
        video = select_video(connection, video_id, team=None)
        team_id = find_team_id(connection, video.team)
        assert team_id is not None
        return _Claimed(lease, video, select_frame_index(connection, video_id), team_id)

    with (
        log_context(video=str(video_id)),
        leased_work(system, PROXY_WORK, claim, stopping, progress_column="frames_done") as work,
    ):
        if work is None:
            return
        claimed, heartbeat = work.claimed, work.heartbeat
        scratch = system.settings.scratch_path
        scratch.mkdir(parents=True, exist_ok=True)
        key = proxy_key(claimed.team_id, video_id)
        with tempfile.TemporaryDirectory(dir=scratch, prefix="proxy-") as folder:
            made = Path(folder) / "proxy.mp4"
            _encode(system, claimed, made, heartbeat)
            stored = system.store.put_file(made, key, lambda _: _keep_on(heartbeat))
        try:
            with work.commit() as connection:
                mark_proxy_ready(connection, claimed.lease, stored, len(claimed.index))
        except LeaseLost:
            _remove_if_nobodys(system, video_id, stored)
            raise
        log.info("proxy_made", frames=len(claimed.index), size_bytes=stored.size_bytes)
    dispatch(system)


def _encode(system: System, claimed: _Claimed, to: Path, heartbeat: LeaseHeartbeat) -> None:
    video, index = claimed.video, claimed.index
    source, limits = ObjectSource(system.store, video.original), limits_of_ready(system, video)
    size = _proxy_size(*video.size)
    first_s = int(index.pts[0]) * index.time_base
    end_s = (int(index.pts[-1]) + (int(index.pts[-1] - index.pts[-2]) if len(index) > 1 else 1)) * index.time_base
    reader = VideoReader(source, index, video.size, limits)
    with (
        open_sound(source, limits, first_s, end_s) as sound,
        VideoWriter.open(
            to,
            size=size,
            time_base=index.time_base,
            usual_fps=usual_fps(index),
            comment=_COMMENT,
            channels=sound.channels,
            rate_hz=SOUND_RATE_HZ,
            sound_from_s=first_s,
            keyframe_every=30,
        ) as writer,
    ):
        at, heard, begun_s = None, 0, time.monotonic()
        for frame in reader.frames(0, len(index), interrupted=heartbeat.interrupted, on_tick=heartbeat.note_alive):
            pts = int(index.pts[frame.number])
            at = pts if at is None else max(at + 1, pts)  # frames that share a time follow each other
            heard = copy_sound(sound, writer, heard, at * index.time_base - first_s)
            writer.write(resized(frame.image, *size), at)
            heartbeat.advance()
            heartbeat.interrupted.wait(system.rest_s(time.monotonic() - begun_s))
            begun_s = time.monotonic()
        copy_sound(sound, writer, heard, end_s - first_s)


def _keep_on(heartbeat: LeaseHeartbeat) -> None:
    heartbeat.note_alive()
    heartbeat.check()


def _proxy_size(width: int, height: int) -> tuple[int, int]:
    scale = min(Fraction(1), Fraction(_SHORT_SIDE_PX, min(width, height)))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _remove_if_nobodys(system: System, video_id: UUID, stored: StoredObject) -> None:
    """Remove a copy whose video was erased while it was made."""
    with transaction(system.engine) as connection:
        if select_proxy(connection, video_id, stored.bucket) is not None:
            return
    system.store.versions.remove(stored.bucket, stored.key)


def _fail(connection: Connection, lease: Lease, reason: str) -> None:
    mark_proxy_failed(connection, lease, reason)


PROXY_WORK = WorkKind(
    "proxy",
    fatal=(SourceGone, VideoRejected),
    fail=_fail,
    give_up=_fail,
    errors_reason="could not be made after {count} tries: {error}",
    expired_reason="{count} workers died or hung while making it",
)
