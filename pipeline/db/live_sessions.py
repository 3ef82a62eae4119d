"""Live sessions: begun under their team's limit, taken over by a process with a ticket that counts once, and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, null, or_, select, update

from pipeline.core.live_protocol import Mode
from pipeline.db.leases import after
from pipeline.db.tables import live_session, team

#: A session that was not seen for so long has ended without saying so.
LOST_S = 60.0
_LOST = "its processes ended"
#: A ticket that nobody used within this time is void.
TICKET_S = 30.0
#: Ended sessions are forgotten after this time; the video that one became is its team's.
KEPT_S = 30 * 86_400.0


@dataclass(frozen=True)
class LiveSession:
    """A session that its process takes over."""

    id: UUID
    team_id: UUID
    team: str
    mode: Mode
    name: str
    keep: bool = False


def begin_session(
    connection: Connection,
    team_id: UUID,
    *,
    account_id: UUID | None,
    api_key_id: UUID | None,
    mode: Mode,
    name: str,
    at_most: int,
    keep: bool = False,
) -> UUID | None:
    """Begin a session; None where its team has as many as it may have."""
    connection.execute(select(team.c.id).where(team.c.id == team_id).with_for_update(key_share=True))
    of = live_session.c
    open_ = select(func.count()).where(of.team_id == team_id, of.ended_at.is_(None), of.last_seen_at > after(-LOST_S))
    if connection.execute(open_).scalar_one() >= at_most:
        return None
    statement = live_session.insert().values(
        team_id=team_id, account_id=account_id, api_key_id=api_key_id, mode=mode, name=name, keep=keep
    )
    session_id: UUID = connection.execute(statement.returning(of.id)).scalar_one()
    return session_id


def give_ticket(connection: Connection, session_id: UUID, process: str, ticket_sha256: str) -> None:
    """Let a process take a session over, once."""
    connection.execute(
        update(live_session)
        .where(live_session.c.id == session_id)
        .values(process=process, ticket_sha256=ticket_sha256, last_seen_at=func.clock_timestamp())
    )


def take_session(connection: Connection, process: str, ticket_sha256: str) -> LiveSession | None:
    """The session that a ticket is for; it is void from now on. None where it is no ticket for this process."""
    of = live_session.c
    row = connection.execute(
        update(live_session)
        .where(
            of.ticket_sha256 == ticket_sha256,
            of.process == process,
            of.ended_at.is_(None),
            of.last_seen_at > after(-TICKET_S),
            team.c.id == of.team_id,
        )
        .values(ticket_sha256=null(), last_seen_at=func.clock_timestamp())
        .returning(of.id, of.team_id, team.c.name.label("team"), of.mode, of.name, of.keep)
    ).first()
    return None if row is None else LiveSession(row.id, row.team_id, row.team, Mode(row.mode), row.name, row.keep)


def note_seen(connection: Connection, session_ids: Sequence[UUID]) -> None:
    """Note that these sessions go on, also those that were taken for lost meanwhile."""
    if session_ids:
        connection.execute(
            update(live_session)
            .where(
                live_session.c.id.in_(session_ids),
                or_(live_session.c.ended_at.is_(None), live_session.c.reason == _LOST),
            )
            .values(last_seen_at=func.clock_timestamp(), ended_at=null(), reason=null())
        )


def end_session(connection: Connection, session_id: UUID, reason: str, counts: Mapping[str, Any] | None = None) -> None:
    """End a session. What its process says counts, with the counts, also where the web process was there before it."""
    of = live_session.c
    values = {"ended_at": func.coalesce(of.ended_at, func.clock_timestamp()), "reason": reason, "ticket_sha256": null()}
    ended = update(live_session).where(of.id == session_id)
    if counts is None:
        ended = ended.where(of.ended_at.is_(None))
    else:
        values["counts"] = dict(counts)
    connection.execute(ended.values(**values))


def end_lost(connection: Connection) -> None:
    """End sessions whose process and web process both went without a word, and forget those that ended long ago."""
    of = live_session.c
    connection.execute(
        update(live_session)
        .where(of.ended_at.is_(None), of.last_seen_at < after(-LOST_S))
        .values(ended_at=of.last_seen_at, reason=_LOST, ticket_sha256=null())
    )
    connection.execute(delete(live_session).where(of.ended_at < after(-KEPT_S)))
