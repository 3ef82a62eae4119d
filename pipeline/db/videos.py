"""Videos: claimed for ingest, indexed or rejected, and read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.exc import IntegrityError

from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import StoredObject
from pipeline.core.states import RunState, VideoState
from pipeline.db.engine import violated_constraint
from pipeline.db.leases import UNLEASED, Lease, lease_values
from pipeline.db.originals import original_removed
from pipeline.db.run_ends import end_waiting_runs
from pipeline.db.tables import CONTENT_INDEX, team, video
from pipeline.db.teams import of_team
from pipeline.db.transitions import move_to
from pipeline.errors import DuplicateContent, LeaseLost, NotFound, VideoRejected


@dataclass(frozen=True)
class VideoRow:
    """One video, without its frame index."""

    id: UUID
    team: str
    name: str
    state: VideoState
    reason: str | None
    source: StoredObject | None
    owned: bool
    sha256: str | None
    duplicate_of: UUID | None
    width: int | None
    height: int | None
    codec: str | None
    container: str | None
    time_base: Fraction | None
    frames: int | None
    first_pts: int | None
    last_pts: int | None
    notes: tuple[str, ...]
    tags: Mapping[str, str]
    original_removed_at: datetime | None = None
    source_gone_at: datetime | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed, in pixels, of a video that is ready."""
        assert self.width is not None
        assert self.height is not None
        return self.width, self.height

    @property
    def original(self) -> StoredObject:
        """The stored video that was analysed, of one that is ready.

        Raises:
            OriginalRemoved: it was removed by its team's rule.
        """
        if self.original_removed_at is not None:
            raise original_removed(self.name, self.original_removed_at)
        assert self.source is not None
        return self.source


@dataclass(frozen=True)
class IndexedVideo:
    """What ingest learned of a video."""

    sha256: str
    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    index: FrameIndex
    notes: tuple[str, ...] = ()


def claim_ingest(connection: Connection, video_id: UUID, worker: str, lease_s: float) -> Lease | None:
    """Claim a stored video to ingest it; None where the message is stale."""
    row = connection.execute(
        update(video)
        .where(
            video.c.id == video_id,
            video.c.state == VideoState.STORED,
            video.c.lease_token.is_(None),
            video.c.not_before <= func.clock_timestamp(),
        )
        .values(**lease_values(worker, lease_s, video))
        .returning(video.c.lease_token, video.c.errors, video.c.expirations, video.c.deaths)
    ).first()
    if row is None:
        return None
    return Lease("video", (video_id,), row.lease_token, row.errors, row.expirations, row.deaths, worker)


def mark_ready(connection: Connection, lease: Lease, found: IndexedVideo) -> None:
    """Write a video's frame index; from now on it can be analysed.

    Raises:
        LeaseLost: somebody else ingests it now.
        DuplicateContent: the team has a ready video with the same content.
    """
    index = found.index
    statement = move_to(
        VideoState.READY,
        **UNLEASED,
        sha256=found.sha256,
        container=found.container,
        codec=found.codec,
        width=found.width,
        height=found.height,
        rotation_deg=found.rotation_deg,
        time_base_num=index.time_base.numerator,
        time_base_den=index.time_base.denominator,
        frames=len(index),
        first_pts=int(index.pts[0]),
        last_pts=int(index.pts[-1]),
        frame_index=index.to_bytes(),
        notes=list(found.notes),
    ).where(lease.is_held())
    try:
        marked = connection.execute(statement).rowcount
    except IntegrityError as error:
        if violated_constraint(error) == CONTENT_INDEX:
            raise DuplicateContent from error
        raise
    if marked != 1:
        raise LeaseLost


def mark_rejected(connection: Connection, lease: Lease, reason: str, *, duplicate_of: UUID | None = None) -> None:
    """Mark an upload that cannot be analysed; runs that wait for it end with the same reason: failed, or, where the
    same content is here already, cancelled.

    Raises:
        LeaseLost: somebody else ingests it now.
    """
    statement = move_to(
        VideoState.REJECTED,
        **UNLEASED,
        reason=reason,
        duplicate_of=duplicate_of,
        not_before=func.clock_timestamp(),  # the time for which the object is kept starts now
    )
    if connection.execute(statement.where(lease.is_held())).rowcount != 1:
        raise LeaseLost
    ended = RunState.FAILED if duplicate_of is None else RunState.CANCELLED
    end_waiting_runs(connection, lease.id, ended, reason)


def select_video(connection: Connection, video_id: UUID, *, team: str | None) -> VideoRow:
    """One video, of that team only unless it is None.

    Raises:
        NotFound: there is no such video, or it is another team's.
    """
    row = connection.execute(of_team(videos_query().where(video.c.id == video_id), team)).first()
    if row is None:
        raise NotFound(f"there is no video {video_id} of yours: it was erased, or is another team's")
    return video_row(row)


def lock_for_runs(connection: Connection, video_ids: Collection[UUID]) -> dict[UUID, UUID | VideoRejected]:
    """Lock videos while runs are made for them: for each the id that a run is made for, of a duplicate that of the
    original, or why it cannot be analysed."""
    rows = connection.execute(
        select(video.c.id, video.c.state, video.c.reason, video.c.duplicate_of)
        .where(video.c.id.in_(video_ids))
        .order_by(video.c.id)
        .with_for_update(read=True)
    )
    found: dict[UUID, UUID | VideoRejected] = {}
    for row in rows:
        is_rejected = row.duplicate_of is None and row.state == VideoState.REJECTED
        found[row.id] = VideoRejected(row.reason) if is_rejected else row.duplicate_of or row.id
    return found


def lock_for_run(connection: Connection, video_id: UUID) -> UUID:
    """As `lock_for_runs`, for one video.

    Raises:
        NotFound: it was erased.
        VideoRejected: it cannot be analysed.
    """
    found = lock_for_runs(connection, [video_id]).get(video_id)
    if found is None:
        raise NotFound(f"there is no video {video_id}; it was erased")
    if isinstance(found, VideoRejected):
        raise found
    return found


def select_frame_index(connection: Connection, video_id: UUID) -> FrameIndex:
    """The frame index of a ready video; `NotFound` is raised where it was erased."""
    row = connection.execute(select(video.c.frame_index).where(video.c.id == video_id)).first()
    if row is None:
        raise NotFound(f"there is no video {video_id}; it was erased")
    return FrameIndex.from_bytes(row.frame_index)


def videos_query() -> Select[Any]:
    """Every video with its team, every column but the frame index, which is as large as the video is long."""
    columns = [column for column in video.c if column is not video.c.frame_index]
    return select(*columns, team.c.name.label("team")).join(team, team.c.id == video.c.team_id)


def video_row(row: Row[Any]) -> VideoRow:
    """A row of `videos_query`."""
    m = row._mapping
    return VideoRow(
        id=m["id"],
        team=m["team"],
        name=m["name"],
        state=VideoState(m["state"]),
        reason=m["reason"],
        source=StoredObject(m["bucket"], m["object_key"], m["size_bytes"], m["etag"], m["version_id"])
        if m["etag"]
        else None,
        owned=m["owned"],
        sha256=m["sha256"],
        duplicate_of=m["duplicate_of"],
        width=m["width"],
        height=m["height"],
        codec=m["codec"],
        container=m["container"],
        time_base=Fraction(m["time_base_num"], m["time_base_den"]) if m["time_base_den"] else None,
        frames=m["frames"],
        first_pts=m["first_pts"],
        last_pts=m["last_pts"],
        notes=tuple(m["notes"]),
        tags=m["tags"],
        original_removed_at=m["original_removed_at"],
        source_gone_at=m["source_gone_at"],
    )
