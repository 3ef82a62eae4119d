"""The stored video as a browser plays it: read in ranges, as it was uploaded or as a worker copied it for browsers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.objects import StoredObject
from pipeline.core.states import VideoState
from pipeline.db.engine import transaction
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, SourceGone
from pipeline.services.proxy_request import find_proxy, forget_lost_proxy
from pipeline.services.system import System
from pipeline.storage.objects import ObjectStore

#: By what FFmpeg calls the container; a browser looks at the bytes, too.
_TYPES = {"mov": "video/mp4", "mp4": "video/mp4", "matroska": "video/x-matroska", "webm": "video/webm"}


@dataclass(frozen=True)
class Media:
    """A video's bytes, which never change.

    Args:
        tag: identifies them.
    """

    store: ObjectStore
    source: StoredObject
    content_type: str
    tag: str

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return self.source.size_bytes

    def read(self, first: int, stop: int) -> Iterator[bytes]:
        """Bytes `[first, stop)` in pieces; nothing is held but one piece.

        Raises:
            SourceGone: the object changed or went away.
            ServiceUnavailable: the object store does not answer, or closed the connection early.
        """
        return self.store.iter_range(self.source, first, stop)


def open_media(system: System, video_id: UUID, *, team: str | None) -> Media:
    """The stored video.

    Raises:
        NotFound: there is no such video, it is another team's, or it is not ingested.
        OriginalRemoved: it was removed by its team's rule.
    """
    with transaction(system.engine) as connection:
        video = select_video(connection, video_id, team=team)
    if video.state is not VideoState.READY:
        raise NotFound(f"{video.name} is {video.state}: it can be played once it is ready")
    container = (video.container or "").split(",")[0]
    content_type = _TYPES.get(container, "application/octet-stream")
    return Media(system.store, video.original, content_type, video.sha256 or str(video.id))


def open_proxy(system: System, video_id: UUID, *, team: str | None) -> Media:
    """The copy for browsers.

    Raises:
        NotFound: there is no such video, it is another team's, or it has no copy.
        SourceGone: it was removed meanwhile; it can be asked for again.
    """
    found = find_proxy(system, video_id, team=team)
    if found is None or found.source is None:
        raise NotFound("this video has no copy for browsers yet; POST to …/proxy to have one made")
    try:
        system.store.check_unchanged(found.source)
    except SourceGone:
        forget_lost_proxy(system, video_id)
        raise
    return Media(system.store, found.source, "video/mp4", found.source.etag.strip('"'))
