"""Small pictures of videos for lists: one frame, with the people of the current run once there is one.

Each is drawn when it is asked for first, then kept in the object store: it goes where its video or run is erased, and
with the original where the team's rule removes that.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.object_keys import run_thumbnail_key, thumbnail_key
from pipeline.core.states import VideoState
from pipeline.db.engine import transaction
from pipeline.db.listed_videos import select_listed_by_id
from pipeline.db.originals import hold_original
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, PoselineError, ServiceUnavailable, in_one_line
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.storage.store_errors import ObjectMissing

log = get_logger(__name__)

#: In memory, of about 15 kB each.
_KEPT = 1000
_AT_ONCE = 2
#: Whoever waits takes a thread from all other requests.
_MOST_HERE = 12
_WAIT_S = 30.0


@dataclass(frozen=True)
class _Wanted:
    video_id: UUID
    run_id: UUID | None
    key: str
    team: str


class Thumbnails:
    """Fetches pictures, and draws those that are not there yet, a few at a time; keeps the last ones in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._guard = threading.Lock()
        self._drawing, self._here = threading.Semaphore(_AT_ONCE), threading.Semaphore(_MOST_HERE)

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
        return run_id or video_id, self._get(system, _Wanted(video_id, run_id, key, team))

    def _get(self, system: System, wanted: _Wanted) -> bytes:
        with self._guard:
            if wanted.key in self._kept:
                self._kept.move_to_end(wanted.key)
                return self._kept[wanted.key]
        picture = _fetch(system, wanted.key)
        if picture is None:
            with self._turn():
                picture = _draw(system, wanted)
            _put(system, wanted, picture)
        with self._guard:
            self._kept[wanted.key] = picture
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return picture

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._here.acquire(blocking=False):
            raise ServiceUnavailable("too many pictures are being drawn; try again in a moment")
        try:
            if not self._drawing.acquire(timeout=_WAIT_S):
                raise ServiceUnavailable("too many pictures are being drawn; try again in a moment")
            try:
                yield
            finally:
                self._drawing.release()
        finally:
            self._here.release()


def _fetch(system: System, key: str) -> bytes | None:
    try:
        return b"".join(system.store.iter_whole(system.store.head(key)))
    except ObjectMissing:
        return None


def _draw(system: System, wanted: _Wanted) -> bytes:
    from pipeline.services import preview  # noqa: PLC0415 - OpenCV and more, 95 MiB

    if wanted.run_id is None:
        return preview.draw_video_still(system, wanted.video_id, team=wanted.team)
    return preview.draw_thumbnail(system, wanted.run_id, team=wanted.team)


def _put(system: System, wanted: _Wanted, picture: bytes) -> None:
    """Store a picture, unless its video or run went meanwhile; who asked has it, whether it can be stored or not."""
    try:
        with transaction(system.engine) as connection:
            if hold_original(connection, wanted.video_id, wanted.run_id):
                system.store.put_stream(io.BytesIO(picture), len(picture), wanted.key, content_type="image/jpeg")
    except PoselineError as error:
        log.warning("thumbnail_not_stored", video=str(wanted.video_id), reason=in_one_line(error))
