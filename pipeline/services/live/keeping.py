"""A live session that is kept becomes a video of its team, whose run has the poses that were found live.

Each step can be repeated, so that a kill between any two leaves nothing that the next call does not finish.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.core.model_spec import ModelSpec
from pipeline.core.states import VideoState
from pipeline.core.tags import checked_tags
from pipeline.db.audit import insert_audit
from pipeline.db.engine import transaction
from pipeline.db.live_runs import KeptSession, insert_live_run, lock_kept, note_not_kept, note_video
from pipeline.db.models import ensure_model
from pipeline.db.pressure import select_pressure
from pipeline.db.teams import lock_team
from pipeline.db.upload_room import select_quota, team_bytes
from pipeline.db.uploads import NewVideo, insert_videos, mark_all_stored
from pipeline.errors import NotKept
from pipeline.logs import get_logger
from pipeline.services.checked_reader import CheckedReader
from pipeline.services.dispatch import dispatch_videos
from pipeline.services.live.spool import VIDEO
from pipeline.services.live.spooled import Spool, note_video_id, read_video_id
from pipeline.services.system import System
from pipeline.services.teams import in_bytes, limits_of

log = get_logger(__name__)


def reserve(system: System, spool: Spool) -> UUID:
    """The video that a session becomes; it is there from now on, and its pictures are still to be stored.

    Raises:
        NotKept: it cannot become one, and its folder is of no more use.
        ServiceUnavailable: Postgres does not answer; repeat it.
        OSError: the disk is full or broken.
    """
    try:
        size_bytes = spool.finish_video()
    except ValueError as error:
        raise _not_kept(system, spool, str(error)) from error
    limit = limits_of(system, spool.about.team).max_bytes
    if size_bytes > limit:
        raise _not_kept(system, spool, f"it has {in_bytes(size_bytes)}, the limit is {in_bytes(limit)}")
    known = read_video_id(spool.folder)
    with transaction(system.engine) as connection:
        lock_team(connection, spool.about.team)
        session = lock_kept(connection, spool.session_id)
        if session is None or (known is not None and session.video_id is None):
            raise NotKept("the session, its video or its team was erased")
        video_id, reason = session.video_id, None
        if video_id is None:
            reason = _why_no_room(connection, session, size_bytes)
        if reason is not None:
            note_not_kept(connection, spool.session_id, reason)
        elif video_id is None:
            video_id = _insert(connection, system, spool, session)
        if reason is None and spool.end.not_kept:
            note_not_kept(connection, spool.session_id, spool.end.not_kept)
    if reason is not None or video_id is None:
        raise NotKept(reason or "")
    note_video_id(spool.folder, video_id)
    return video_id


def store(system: System, spool: Spool, video_id: UUID, check: Callable[[], None]) -> None:
    """Store a session's pictures and have its video ingested. The folder is of no more use then.

    Args:
        check: called again and again; it raises where this is to be broken off.

    Raises:
        NotKept: the video was erased meanwhile; nothing of it is left.
        ServiceUnavailable: a server does not answer; repeat it.
    """
    with transaction(system.engine) as connection:
        session = lock_kept(connection, spool.session_id)
    if session is None or session.video_id != video_id or session.key is None:
        raise NotKept("the session, its video or its team was erased")
    if session.video_state is not VideoState.UPLOADING:
        return
    path = spool.folder / VIDEO
    with path.open("rb") as file:
        reader = CheckedReader(file, check, hashlib.sha256())
        stored = system.store.put_stream(reader, path.stat().st_size, session.key)
    with transaction(system.engine) as connection:
        marked = mark_all_stored(connection, {video_id: stored}, {video_id: reader.sha256})
        if marked:
            insert_audit(
                connection,
                Action.VIDEO_UPLOADED,
                team_id=session.team_id,
                account_id=session.account_id,
                actor="live",
                subject=str(video_id),
                detail={"size_bytes": stored.size_bytes, "live": str(spool.session_id)},
            )
    if not marked:
        system.store.versions.remove(stored.bucket, session.key)
        raise NotKept("its video was erased while it was stored")
    dispatch_videos(system)
    log.info("live_session_kept", session=str(spool.session_id), video=str(video_id), frames=len(spool.samples.pts))


def _why_no_room(connection: Connection, session: KeptSession, size_bytes: int) -> str | None:
    short_of = next(iter(select_pressure(connection)), None)
    if short_of is not None:
        return f"no more videos are taken in for now: {short_of.reason}"
    quota = select_quota(connection, session.team_id)
    if quota is not None and (used := team_bytes(connection, session.team_id)) + size_bytes > quota:
        needs = f"{in_bytes(used)} of its {in_bytes(quota)}, and this has {in_bytes(size_bytes)}"
        return f"the team uses {needs}: delete videos, or have the quota raised"
    return None


def _insert(connection: Connection, system: System, spool: Spool, session: KeptSession) -> UUID:
    about, spec = spool.about, ModelSpec.from_dict(json.loads(spool.about.model))
    name = f"{about.name or 'camera'}, live {session.begun_at:%Y-%m-%d %H:%M:%S}"
    new = NewVideo(session.team_id, name, None, checked_tags({"live": about.session}))
    [(video_id, _)] = insert_videos(connection, system.store.bucket, [new])
    ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
    insert_live_run(connection, video_id, spec.fingerprint, about_run(spool))
    note_video(connection, spool.session_id, video_id)
    return video_id


def about_run(spool: Spool) -> Mapping[str, Any]:
    """What a run says of the session whose poses it has.

    `captured` and `dropped` are the client's counts, where it told them; `left_out` are frames that gave no picture.
    """
    end = spool.end
    assert spool.size is not None
    return {
        "session": spool.about.session,
        "mode": spool.about.mode,
        "device": spool.about.device,
        "size": list(spool.size),
        "ended": end.reason,
        **{name: end.counts[name] for name in ("captured", "dropped") if name in end.counts},
        "received": end.counts.get("received", len(spool.samples.pts) + spool.left_out),
        "left_out": spool.left_out,
        **({"not_kept": end.not_kept} if end.not_kept else {}),
    }


def _not_kept(system: System, spool: Spool, reason: str) -> NotKept:
    with transaction(system.engine) as connection:
        note_not_kept(connection, spool.session_id, reason)
    return NotKept(reason)
