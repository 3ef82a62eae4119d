"""Links to one video, read-only, for whoever has them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.engine import transaction
from pipeline.db.shares import ShareRow, find_share, has_video, insert_share, revoke_share, select_shares
from pipeline.db.sign_ins import SharedVideo, delete_expired, insert_session
from pipeline.errors import NotFound
from pipeline.services.accounts.audit import note
from pipeline.services.accounts.callers import SESSION_S, Caller
from pipeline.services.system import System

_DAY_S = 86_400.0


def make_share(
    system: System, caller: Caller, team_id: UUID, video_id: UUID, *, expires_in_days: int, base: str
) -> tuple[ShareRow, str]:
    """Make a link to a video. Returns it, and its address, which is shown this once.

    Raises:
        NotFound: the team has no such video.
    """
    token = new_token()
    with transaction(system.engine) as connection:
        _check_video(connection, team_id, video_id)
        made = insert_share(
            connection,
            token_sha256(token),
            video_id,
            created_by=None if caller.account is None else caller.account.id,
            expires_in_s=expires_in_days * _DAY_S,
        )
        note(connection, caller, Action.SHARE_MADE, team_id=team_id, subject=str(video_id), days=expires_in_days)
    return made, f"{base}/s/{token}"


def list_shares(system: System, team_id: UUID, video_id: UUID) -> Sequence[ShareRow]:
    """The links to a video that work, the newest first.

    Raises:
        NotFound: the team has no such video.
    """
    with transaction(system.engine) as connection:
        _check_video(connection, team_id, video_id)
        return select_shares(connection, video_id)


def end_share(system: System, caller: Caller, team_id: UUID, video_id: UUID, share_id: UUID) -> None:
    """End a link, also for who opened it before.

    Raises:
        NotFound: the team has no such video, or the video no such link.
    """
    with transaction(system.engine) as connection:
        _check_video(connection, team_id, video_id)
        if not revoke_share(connection, video_id, share_id):
            raise NotFound("there is no such link to this video; it may have ended meanwhile")
        note(connection, caller, Action.SHARE_REVOKED, team_id=team_id, subject=str(video_id))


def open_share(system: System, token: str, client: str) -> tuple[SharedVideo, str]:
    """Begin a session that sees one video. Returns the video, and the session's token.

    Raises:
        NotFound: the link does not work.
    """
    own = new_token()
    with transaction(system.engine) as connection:
        shared = find_share(connection, token_sha256(token))
        if shared is None:
            raise NotFound("this link does not work: it is too old, or was taken back; ask for a new one")
        delete_expired(connection)
        insert_session(connection, token_sha256(own), SESSION_S, client, share_id=shared.share_id)
        note(
            connection, Caller(shared=shared), Action.SHARE_OPENED, team_id=shared.team_id, subject=str(shared.video_id)
        )
    return shared, own


def _check_video(connection: Connection, team_id: UUID, video_id: UUID) -> None:
    if not has_video(connection, team_id, video_id):
        raise NotFound("there is no such video in this team")
