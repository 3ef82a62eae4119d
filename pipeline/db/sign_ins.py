"""Browsers that are signed in, keys, and wrong passwords."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, or_, select, text, update

from pipeline.core.roles import Role
from pipeline.db.accounts import AccountRow, TeamOf
from pipeline.db.leases import after
from pipeline.db.tables import account, api_key, share, sign_in_failure, team, video, web_session

#: How exactly the last use of a session or key is known: an update each request would be a write each request.
_SEEN_EVERY_S = 60.0
_FAILURES_KEPT_S = 86_400.0


@dataclass(frozen=True)
class SharedVideo:
    """A video that its link shows to anybody."""

    share_id: UUID
    video_id: UUID
    video: str
    team_id: UUID
    team: str


@dataclass(frozen=True)
class KeyRow:
    """A key that is valid, and its team."""

    id: UUID
    name: str
    team: TeamOf


@dataclass(frozen=True)
class SessionRow:
    """A browser in which an account is signed in.

    Args:
        client: what the browser calls itself.
    """

    id: UUID
    token_sha256: str
    client: str
    created_at: datetime
    seen_at: datetime


def insert_session(
    connection: Connection,
    sha256: str,
    expires_in_s: float,
    client: str,
    *,
    account_id: UUID | None = None,
    share_id: UUID | None = None,
) -> None:
    """Keep a new session of an account or of a share."""
    connection.execute(
        web_session.insert().values(
            token_sha256=sha256,
            account_id=account_id,
            share_id=share_id,
            client=client,
            expires_at=after(expires_in_s),
        )
    )


def find_session_account(connection: Connection, sha256: str, keep_s: float) -> AccountRow | None:
    """The account of a session that is valid. Being used keeps it for `keep_s` more."""
    row = connection.execute(
        select(account.c.id, account.c.email, account.c.name, account.c.operator, _stale(web_session.c.seen_at))
        .join(web_session, web_session.c.account_id == account.c.id)
        .where(
            web_session.c.token_sha256 == sha256,
            web_session.c.expires_at > func.clock_timestamp(),
            account.c.disabled_at.is_(None),
        )
    ).first()
    if row is None:
        return None
    if row.stale:
        connection.execute(
            update(web_session)
            .where(web_session.c.token_sha256 == sha256)
            .values(seen_at=func.clock_timestamp(), expires_at=after(keep_s))
        )
    return AccountRow(row.id, row.email, row.name, row.operator)


def find_session_share(connection: Connection, sha256: str) -> SharedVideo | None:
    """The video of a session that a share's link began, while both are valid."""
    row = connection.execute(
        select(share.c.id, share.c.video_id, video.c.name.label("video"), video.c.team_id, team.c.name)
        .join(web_session, web_session.c.share_id == share.c.id)
        .join(video, video.c.id == share.c.video_id)
        .join(team, team.c.id == video.c.team_id)
        .where(
            web_session.c.token_sha256 == sha256,
            web_session.c.expires_at > func.clock_timestamp(),
            share.c.expires_at > func.clock_timestamp(),
            share.c.revoked_at.is_(None),
            team.c.erasure_id.is_(None),
        )
    ).first()
    return None if row is None else SharedVideo(row.id, row.video_id, row.video, row.team_id, row.name)


def delete_session(connection: Connection, sha256: str) -> None:
    """End a session."""
    connection.execute(web_session.delete().where(web_session.c.token_sha256 == sha256))


def select_sessions(connection: Connection, account_id: UUID) -> list[SessionRow]:
    """The sessions of an account, the one used last first."""
    rows = connection.execute(
        select(web_session)
        .where(web_session.c.account_id == account_id, web_session.c.expires_at > func.clock_timestamp())
        .order_by(web_session.c.seen_at.desc(), web_session.c.id)
    )
    return [SessionRow(row.id, row.token_sha256, row.client, row.created_at, row.seen_at) for row in rows]


def delete_session_of(connection: Connection, account_id: UUID, session_id: UUID) -> bool:
    """End one session of an account. Returns whether there was one."""
    gone = web_session.delete().where(web_session.c.id == session_id, web_session.c.account_id == account_id)
    return connection.execute(gone).rowcount == 1


def delete_sessions_of(connection: Connection, account_id: UUID, *, but: str | None = None) -> None:
    """End every session of an account but one."""
    connection.execute(
        web_session.delete().where(
            web_session.c.account_id == account_id, web_session.c.token_sha256.is_distinct_from(but)
        )
    )


def delete_expired(connection: Connection) -> None:
    """Remove sessions that ended by themselves, and wrong passwords of another day."""
    connection.execute(web_session.delete().where(web_session.c.expires_at < func.clock_timestamp()))
    connection.execute(sign_in_failure.delete().where(sign_in_failure.c.last_at < after(-_FAILURES_KEPT_S)))


def find_key(connection: Connection, sha256: str) -> KeyRow | None:
    """The key whose secret has this SHA-256, while it is valid."""
    row = connection.execute(
        select(api_key.c.id, api_key.c.name, api_key.c.role, api_key.c.team_id, team.c.name.label("team"),
               _stale(api_key.c.last_used_at))
        .join(team, team.c.id == api_key.c.team_id)
        .where(
            api_key.c.secret_sha256 == sha256,
            api_key.c.revoked_at.is_(None),
            or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > func.clock_timestamp()),
            team.c.erasure_id.is_(None),
        )
    ).first()  # fmt: skip
    if row is None:
        return None
    if row.stale is not False:
        connection.execute(update(api_key).where(api_key.c.id == row.id).values(last_used_at=func.clock_timestamp()))
    return KeyRow(row.id, row.name, TeamOf(row.team_id, row.team, Role(row.role)))


_FAILED = text("""
INSERT INTO sign_in_failure (subject, failures) VALUES (:subject, 1)
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN sign_in_failure.last_at < clock_timestamp() - make_interval(secs => :forget_s) THEN 1
                    ELSE sign_in_failure.failures + 1 END,
    last_at = clock_timestamp()
RETURNING failures
""")

_BLOCK = text("""
UPDATE sign_in_failure SET blocked_until = clock_timestamp() + make_interval(secs => :seconds) WHERE subject = :subject
""")

_RIGHT = text("""
UPDATE sign_in_failure SET
    failures = greatest(failures - 1, 0),
    blocked_until = CASE WHEN failures > :free + 1 THEN blocked_until END
WHERE subject = :subject
""")

_BLOCKED = text("""
SELECT max(extract(epoch FROM blocked_until - clock_timestamp())) FROM sign_in_failure
WHERE subject = ANY(:subjects) AND blocked_until > clock_timestamp()
""")


def count_attempt(connection: Connection, subject: str, forget_s: float) -> int:
    """Count a password for an address as a wrong one, before it is looked at: so those that come at once count, too.

    Returns how many there were, none of which was `forget_s` ago.
    """
    count: int = connection.execute(_FAILED, {"subject": subject, "forget_s": forget_s}).scalar_one()
    return count


def block(connection: Connection, subject: str, seconds: float) -> None:
    """Refuse every password for an address for a time."""
    connection.execute(_BLOCK, {"subject": subject, "seconds": seconds})


def blocked_s(connection: Connection, subjects: list[str]) -> float:
    """For how long passwords are refused for any of these addresses; 0 where they are not."""
    return float(connection.execute(_BLOCKED, {"subjects": subjects}).scalar() or 0.0)


def forget_failures(connection: Connection, subject: str) -> None:
    """The password was right."""
    connection.execute(text("DELETE FROM sign_in_failure WHERE subject = :subject"), {"subject": subject})


def take_back_attempt(connection: Connection, subject: str, free: int) -> None:
    """The password was right: it does not count, and what it alone had refused is allowed again."""
    connection.execute(_RIGHT, {"subject": subject, "free": free})


def _stale(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return (column < after(-_SEEN_EVERY_S)).label("stale")
