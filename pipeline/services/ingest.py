"""Ingest a stored video: read it once, hash it, and write down its every frame before any is analysed."""

from __future__ import annotations

import threading
from contextlib import suppress
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from pipeline.db.engine import transaction
from pipeline.db.leases import Lease, release
from pipeline.db.runs import move_waiting_runs
from pipeline.db.videos import (
    IndexedVideo,
    VideoRow,
    claim_ingest,
    find_content,
    mark_ready,
    mark_rejected,
    select_video,
)
from pipeline.errors import LeaseLost, SourceGone, Stopping, VideoRejected, in_one_line, is_outage
from pipeline.logs import get_logger
from pipeline.services.dispatch import dispatch
from pipeline.services.lease_heartbeat import keep_lease
from pipeline.services.local_copy import local_copy
from pipeline.services.plan import plan_runs
from pipeline.services.system import System
from pipeline.services.team_limits import in_bytes, limits_of
from pipeline.video.reader import VideoInfo, probe
from pipeline.video.source import FileSource

log = get_logger(__name__)


def ingest_video(system: System, video_id: UUID, worker: str, stopping: threading.Event | None = None) -> None:
    """Do what a message says, if it still holds: a stale or doubled message does nothing."""
    settings = system.settings
    with transaction(system.engine) as connection:
        lease = claim_ingest(connection, video_id, worker, settings.lease_s)
        if lease is None:
            return
        video = select_video(connection, video_id, team=None)
    try:
        found = _read(system, video, lease, stopping)
        with transaction(system.engine) as connection:
            mark_ready(connection, lease, found)
            plan_runs(connection, settings, video_id)
    except LeaseLost:
        return
    except Stopping:
        with transaction(system.engine) as connection:
            release(connection, lease)
        return
    except (VideoRejected, SourceGone) as error:
        _reject(system, video, lease, error.message)
        return
    except IntegrityError:
        _merge(system, video, lease, found)
        return
    except Exception as error:
        _count_error(system, video, lease, error)
        raise
    log.info("video_ready", frames=len(found.index), codec=found.codec)
    dispatch(system)


def _read(system: System, video: VideoRow, lease: Lease, stopping: threading.Event | None) -> IndexedVideo:
    assert video.source is not None
    limits = limits_of(system, video.team)
    if video.source.size_bytes > limits.max_bytes:
        raise VideoRejected(f"the video is larger than the limit of {in_bytes(limits.max_bytes)}; cut it")
    if not video.source.size_bytes:
        raise VideoRejected("the file is empty; upload it again")
    progress_bytes = 0
    source: FileSource | None = None

    with keep_lease(
        system, lease, progress=lambda: progress_bytes + (source.bytes_read if source else 0), stopping=stopping
    ) as keeper:

        def on_bytes(more: int) -> None:
            nonlocal progress_bytes
            progress_bytes += more
            keeper.check()

        with local_copy(system, video.source, on_bytes) as whole:
            if video.sha256 is not None and whole.sha256 != video.sha256:
                raise VideoRejected("the upload was damaged on its way; upload it again")
            source = FileSource(whole.file)
            info = probe(source, limits, interrupted=keeper.interrupted, on_tick=lambda: on_bytes(1))
    return indexed(whole.sha256, info)


def indexed(sha256: str, info: VideoInfo) -> IndexedVideo:
    """What is written down of a video: its hash, and what the probe found."""
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


def _reject(system: System, video: VideoRow, lease: Lease, reason: str) -> None:
    try:
        with transaction(system.engine) as connection:
            mark_rejected(connection, video.id, reason, lease=lease)
    except LeaseLost:
        return
    log.warning("video_rejected", reason=reason)


def _merge(system: System, video: VideoRow, lease: Lease, found: IndexedVideo) -> None:
    """The same content became ready while this was read: its runs go over to the video that stands."""
    with suppress(LeaseLost), transaction(system.engine) as connection:
        standing = find_content(connection, video.team, found.sha256, but=video.id)
        if standing is None:
            release(connection, lease, backoff_s=system.settings.backoff_s, outage=True, error="taken in twice at once")
            return
        move_waiting_runs(connection, video.id, standing.id)
        mark_rejected(
            connection,
            video.id,
            f"the same content is video {standing.id} already",
            lease=lease,
            duplicate_of=standing.id,
        )
        plan_runs(connection, system.settings, standing.id)
    dispatch(system)


def _count_error(system: System, video: VideoRow, lease: Lease, error: Exception) -> None:
    settings, reason, outage = system.settings, in_one_line(error), is_outage(error)
    log.warning("ingest_failed", reason=reason, outage=outage)
    with transaction(system.engine) as connection:
        errors = release(connection, lease, error=reason, backoff_s=settings.backoff_s, outage=outage)
        if errors is not None and errors >= settings.max_errors:
            mark_rejected(connection, video.id, f"could not be read after {errors} tries: {reason}")
