"""Ingest a stored video: read it once, hash it, and write its frame index before any frame is analysed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.db.engine import transaction
from pipeline.db.leases import Lease
from pipeline.db.uploads import add_name, move_waiting_runs, repin
from pipeline.db.video_search import find_content
from pipeline.db.videos import IndexedVideo, VideoRow, claim_ingest, mark_ready, mark_rejected, select_video
from pipeline.errors import DecodeFailed, DuplicateContent, SourceGone, VideoRejected
from pipeline.logs import get_logger, log_context
from pipeline.services.dispatch import dispatch
from pipeline.services.lease_heartbeat import LeaseHeartbeat
from pipeline.services.leased_work import WorkKind, leased_work
from pipeline.services.local_copy import LocalCopy, local_copy
from pipeline.services.plan import plan_runs
from pipeline.services.system import System
from pipeline.services.tags import merge_tags
from pipeline.services.teams import in_bytes, limits_of
from pipeline.video.reader import VideoInfo, probe

log = get_logger(__name__)


@dataclass(frozen=True)
class _Claimed:
    lease: Lease
    video: VideoRow


def ingest_video(system: System, video_id: UUID, worker: str, stopping: threading.Event | None = None) -> None:
    """Ingest the video that a message names; a stale or doubled message does nothing.

    Raises:
        VideoRejected, SourceGone: it cannot be analysed; its row says so.
    """

    def claim(connection: Connection) -> _Claimed | None:
        lease = claim_ingest(connection, video_id, worker, system.settings.lease_s)
        return None if lease is None else _Claimed(lease, select_video(connection, video_id, team=None))

    with log_context(video=str(video_id)), leased_work(system, VIDEO_WORK, claim, stopping) as work:
        if work is None:
            return
        video, lease = work.claimed.video, work.claimed.lease
        found = _read(system, video, work.heartbeat)
        try:
            with work.commit() as connection:
                mark_ready(connection, lease, found)
                plan_runs(connection, system.settings, video_id)
            log.info("video_ready", frames=len(found.index), codec=found.codec)
        except DuplicateContent:
            _follow_renamed(system, video, found)
            with work.commit() as connection:
                original_id = _merge(connection, lease, video, found)
                plan_runs(connection, system.settings, original_id)
            log.info("video_duplicate", original=str(original_id))
        dispatch(system)


def _read(system: System, video: VideoRow, heartbeat: LeaseHeartbeat) -> IndexedVideo:
    assert video.source is not None
    limits = limits_of(system, video.team)
    if video.source.size_bytes > limits.max_bytes:
        raise VideoRejected(f"the video is larger than the limit of {in_bytes(limits.max_bytes)}; cut it")
    if not video.source.size_bytes:
        raise VideoRejected("the file is empty; upload it again")

    begun_s = time.monotonic()

    def on_bytes(count: int) -> None:
        nonlocal begun_s
        heartbeat.advance(count)
        heartbeat.check()
        heartbeat.interrupted.wait(system.rest_s(time.monotonic() - begun_s))
        begun_s = time.monotonic()

    with local_copy(system, video.source, on_bytes) as copy:
        try:
            info = probe(
                copy.bytes,
                limits,
                interrupted=heartbeat.interrupted,
                on_tick=heartbeat.note_alive,
                rest_s=system.rest_s,
            )
        except (VideoRejected, DecodeFailed):
            _check_undamaged(video, copy)  # else the upload is what is wrong
            raise
        _check_undamaged(video, copy)
        return indexed(copy.sha256(), info)


def _check_undamaged(video: VideoRow, copy: LocalCopy) -> None:
    """Compare a video that was uploaded from a file with that file; an object of the store has nothing to compare.

    Raises:
        VideoRejected: they differ.
    """
    if video.sha256 is not None and copy.sha256() != video.sha256:
        raise VideoRejected("the upload was damaged on its way; upload it again")


def indexed(sha256: str, info: VideoInfo) -> IndexedVideo:
    """What is written of a video: its hash, and what the probe found."""
    return IndexedVideo(
        sha256=sha256,
        container=info.container,
        codec=info.codec,
        width=info.width,
        height=info.height,
        rotation_deg=info.rotation_deg,
        index=info.index,
        notes=info.notes,
    )


def _follow_renamed(system: System, video: VideoRow, found: IndexedVideo) -> None:
    """Where the object of the video with the same content is gone, have that video read from this one: it was renamed.

    An object of our own is never let go of for one that its owner may remove.
    """
    with transaction(system.engine) as connection:
        original = find_content(connection, video.team, found.sha256, but=video.id)
    if original is None or original.source is None or video.source is None or original.owned or video.owned:
        return
    try:
        system.store.check_unchanged(original.source)
    except SourceGone:
        with transaction(system.engine) as connection:
            repin(connection, original.id, video.source, owned=False)


def _merge(connection: Connection, lease: Lease, video: VideoRow, found: IndexedVideo) -> UUID:
    """Give a video's waiting runs to the team's video with the same content, and reject it. Returns that video's id.

    Raises:
        DuplicateContent: there is no such video any more; it is tried again.
    """
    original = find_content(connection, video.team, found.sha256, but=video.id)
    if original is None:
        raise DuplicateContent
    move_waiting_runs(connection, video.id, original.id)
    add_name(connection, original.id, video.name)
    merge_tags(connection, {original.id: video.tags})  # more than there is room for are left out
    mark_rejected(connection, lease, f"the same content is {original.name} already", duplicate_of=original.id)
    return original.id


def _reject(connection: Connection, lease: Lease, reason: str) -> None:
    mark_rejected(connection, lease, reason)


VIDEO_WORK = WorkKind(
    "video",
    fatal=(VideoRejected, SourceGone),
    fail=_reject,
    give_up=_reject,
    errors_reason="could not be read after {count} tries: {error}",
    expired_reason="{count} workers died or hung while reading it",
)
