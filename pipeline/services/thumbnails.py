"""Small pictures of videos for lists: one frame, with the people of the current run once there is one.

Each is drawn when it is asked for first, then kept in the object store: it goes where its video or run is erased, and
with the original where the team's rule removes that.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from uuid import UUID

from pipeline.core.object_keys import run_thumbnail_key, thumbnail_key
from pipeline.core.states import VideoState
from pipeline.db.engine import transaction
from pipeline.db.listed_videos import select_listed_by_id
from pipeline.db.originals import hold_original
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, PoselineError, in_one_line
from pipeline.logs import get_logger
from pipeline.services.picture_drawers import Picture, PictureDrawers
from pipeline.services.system import System
from pipeline.storage.store_errors import ObjectMissing

log = get_logger(__name__)

#: In memory, of about 15 kB each.
_KEPT = 1000


class Thumbnails:
    """Fetches pictures, and has those drawn that are not there yet; keeps the last ones in memory.

    Args:
        drawers: which draw; ended with it.
    """

    def __init__(self, drawers: PictureDrawers | None = None) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._guard = threading.Lock()
        self._drawers = drawers or PictureDrawers()

    def close(self) -> None:
        """End what draws."""
        self._drawers.close()

    def of_video(self, system: System, team_id: UUID, video_id: UUID, *, team: str) -> tuple[UUID, bytes]:
        """A JPEG of a team's video, 320 pixels on its longer side.

        Returns:
            what it shows, and the picture: the current run's id where it has that run's people, else the video's.

        Raises:
            NotFound: there is no such video, or it is not ingested yet.
            SourceGone: its original was removed, changed or went away.
            ServiceUnavailable: too many pictures are being drawn, or a server does not answer.
        """
        with transaction(system.engine) as connection:
            video = select_video(connection, video_id, team=team)
            listed = select_listed_by_id(connection, team_id, [video_id])
        if video.state is not VideoState.READY:
            raise NotFound("this video is not ready yet; its picture is there then")
        _ = video.original
        run_id = listed[0].current_run_id if listed else None
        key = thumbnail_key(team_id, video_id) if run_id is None else run_thumbnail_key(run_id)
        picture = Picture(team, video_id=video_id, run_id=run_id)
        return run_id or video_id, self._get(system, video_id, picture, key)

    def of_run(self, system: System, run_id: UUID, *, team: str) -> bytes:
        """A JPEG of a team's run that has ended, whether it is the current one or not.

        Raises:
            NotFound: there is no such run, or it is another team's.
            RunFailed: the run has not ended, or has no frames.
            SourceGone, ServiceUnavailable: as `of_video`.
        """
        return self._drawers.draw(system, Picture(team, run_id=run_id))

    def _get(self, system: System, video_id: UUID, wanted: Picture, key: str) -> bytes:
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = _fetch(system, key)
        if picture is None:
            picture = self._drawers.draw(system, wanted)
            _put(system, video_id, wanted.run_id, key, picture)
        with self._guard:
            self._kept[key] = picture
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return picture


def _fetch(system: System, key: str) -> bytes | None:
    try:
        return b"".join(system.store.iter_whole(system.store.head(key)))
    except ObjectMissing:
        return None


def _put(system: System, video_id: UUID, run_id: UUID | None, key: str, picture: bytes) -> None:
    """Store a picture, unless its video or run went meanwhile; who asked has it, whether it can be stored or not."""
    try:
        with transaction(system.engine) as connection:
            if hold_original(connection, video_id, run_id):
                system.store.put_stream(io.BytesIO(picture), len(picture), key, content_type="image/jpeg")
    except PoselineError as error:
        log.warning("thumbnail_not_stored", video=str(video_id), reason=in_one_line(error))
