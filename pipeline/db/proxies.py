"""Copies of videos for browsers: wanted, claimed, made, and removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.objects import StoredObject
from pipeline.core.states import ProxyState
from pipeline.db.engine import advisory_key
from pipeline.db.leases import UNLEASED, Lease, after, lease_values
from pipeline.db.tables import proxy
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost

#: A video that failed is tried again when somebody asks so long after.
_TRY_AGAIN_S = 600.0
_AFRESH: dict[str, Any] = {
    **UNLEASED,
    **dict.fromkeys(("errors", "expirations", "deaths", "attempts", "frames_done"), 0),
    "reason": None,
    "last_error": None,
}


@dataclass(frozen=True)
class ProxyRow:
    """The copy of one video.

    Args:
        frames_done: encoded so far.
        reason: why it failed.
    """

    video_id: UUID
    state: ProxyState
    frames_done: int
    reason: str | None
    source: StoredObject | None
    made_at: datetime | None


def want_proxy(connection: Connection, video_id: UUID) -> None:
    """Have a copy made, unless there is one, or it failed a moment ago."""
    connection.execute(insert(proxy).values(video_id=video_id, state=ProxyState.WANTED).on_conflict_do_nothing())
    connection.execute(
        move_to(ProxyState.WANTED, **_AFRESH, requested_at=func.clock_timestamp()).where(
            proxy.c.video_id == video_id,
            proxy.c.state == ProxyState.FAILED,
            proxy.c.requested_at < after(-_TRY_AGAIN_S),
        )
    )


def forget_proxy(connection: Connection, video_id: UUID) -> None:
    """The object is gone; the copy can be made again."""
    connection.execute(proxy.delete().where(proxy.c.video_id == video_id, proxy.c.state == ProxyState.READY))


def select_proxy(connection: Connection, video_id: UUID, bucket: str) -> ProxyRow | None:
    """The copy of one video; None where nobody wants one."""
    row = connection.execute(select(proxy).where(proxy.c.video_id == video_id)).first()
    if row is None:
        return None
    source = None
    if row.state == ProxyState.READY:
        source = StoredObject(bucket, row.object_key, row.size_bytes, row.etag, row.version_id)
    return ProxyRow(row.video_id, ProxyState(row.state), row.frames_done, row.reason, source, row.made_at)


def queue_wanted_proxies(connection: Connection, most_under_way: int) -> list[UUID]:
    """Mark as queued those that are made next, the longest wanted first, so that at most so many are sent or under
    way."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": advisory_key("poseline.dispatch.proxies")})
    wanted = (proxy.c.state == ProxyState.WANTED,)
    under_way = connection.execute(select(func.count()).where(*wanted, proxy.c.queued_at.is_not(None))).scalar_one()
    if under_way >= most_under_way:
        return []
    next_ = (
        select(proxy.c.video_id)
        .where(
            *wanted,
            proxy.c.queued_at.is_(None),
            proxy.c.lease_token.is_(None),
            proxy.c.not_before <= func.clock_timestamp(),
        )
        .order_by(proxy.c.requested_at)
        .limit(most_under_way - under_way)
    )
    marked = (
        update(proxy)
        .where(proxy.c.video_id.in_(next_))
        .values(queued_at=func.clock_timestamp())
        .returning(proxy.c.video_id)
    )
    return list(connection.execute(marked).scalars())


def requeue_lost_proxies(connection: Connection, older_than_s: float) -> int:
    """Let those wait again whose message was sent that long ago and never arrived. Returns how many there were."""
    return connection.execute(
        update(proxy)
        .where(
            proxy.c.state == ProxyState.WANTED,
            proxy.c.lease_token.is_(None),
            proxy.c.queued_at < after(-older_than_s),
        )
        .values(queued_at=None)
    ).rowcount


def claim_proxy(connection: Connection, video_id: UUID, worker: str, lease_s: float) -> Lease | None:
    """Claim a copy to make it; None where the message is stale."""
    row = connection.execute(
        update(proxy)
        .where(
            proxy.c.video_id == video_id,
            proxy.c.state == ProxyState.WANTED,
            proxy.c.lease_token.is_(None),
            proxy.c.not_before <= func.clock_timestamp(),
        )
        .values(**lease_values(worker, lease_s, proxy), frames_done=0)
        .returning(proxy.c.lease_token, proxy.c.errors, proxy.c.expirations, proxy.c.deaths)
    ).first()
    if row is None:
        return None
    return Lease("proxy", (video_id,), row.lease_token, row.errors, row.expirations, row.deaths, worker)


def mark_proxy_ready(connection: Connection, lease: Lease, source: StoredObject, frames: int) -> None:
    """Note where the copy is.

    Raises:
        LeaseLost: somebody else makes it now, or its video was erased.
    """
    statement = move_to(
        ProxyState.READY,
        **UNLEASED,
        object_key=source.key,
        etag=source.etag,
        version_id=source.version_id,
        size_bytes=source.size_bytes,
        frames_done=frames,
        made_at=func.clock_timestamp(),
    )
    if connection.execute(statement.where(lease.is_held())).rowcount != 1:
        raise LeaseLost


def mark_proxy_failed(connection: Connection, lease: Lease, reason: str) -> None:
    """Note why there is none.

    Raises:
        LeaseLost: somebody else makes it now.
    """
    statement = move_to(ProxyState.FAILED, **UNLEASED, reason=reason)
    if connection.execute(statement.where(lease.is_held())).rowcount != 1:
        raise LeaseLost
