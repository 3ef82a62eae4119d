"""The copy of a video that every browser plays, for those who want to see it: asked for, and found. A worker makes it
(`services.proxy`), with libraries that take a web process too much memory.
"""

from __future__ import annotations

from uuid import UUID

from pipeline.core.states import VideoState
from pipeline.db.engine import transaction
from pipeline.db.proxies import ProxyRow, forget_proxy, select_proxy, want_proxy
from pipeline.db.videos import select_video
from pipeline.errors import UsageError
from pipeline.services.dispatch import dispatch
from pipeline.services.system import System


def find_proxy(system: System, video_id: UUID, *, team: str | None) -> ProxyRow | None:
    """The copy of a video; None where nobody asked for one.

    Raises:
        NotFound: there is no such video, or it is another team's.
    """
    with transaction(system.engine) as connection:
        select_video(connection, video_id, team=team)
        return select_proxy(connection, video_id, system.store.bucket)


def request_proxy(system: System, video_id: UUID, *, team: str | None) -> ProxyRow:
    """Ask for a copy of a video, which is made once and kept.

    Raises:
        NotFound: there is no such video, or it is another team's.
        UsageError: it was not taken in yet.
        OriginalRemoved: it can be made no more.
    """
    with transaction(system.engine) as connection:
        video = select_video(connection, video_id, team=team)
        if video.state is not VideoState.READY:
            raise UsageError(f"{video.name} is {video.state}; it can be played once it is ready")
        found = select_proxy(connection, video_id, system.store.bucket)
        if found is None or found.source is None:
            assert video.original
            want_proxy(connection, video_id)
            found = select_proxy(connection, video_id, system.store.bucket)
        assert found is not None
    dispatch(system)
    return found


def forget_lost_proxy(system: System, video_id: UUID) -> None:
    """Note that the stored copy is gone, so that it is made again when it is asked for."""
    with transaction(system.engine) as connection:
        forget_proxy(connection, video_id)
