"""Small pictures of videos for lists: one frame of the current run with its people. They are kept in memory alone, so
that nothing has to be removed where a video is erased, or its original by its team's rule."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.listed_videos import select_listed_by_id
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, ServiceUnavailable
from pipeline.services.system import System

#: Of about 15 kB each.
_KEPT = 1000
_AT_ONCE = 2
_WAIT_S = 30.0


class Thumbnails:
    """Draws pictures, a few at a time, and keeps those that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, bytes] = OrderedDict()
        self._guard = threading.Lock()
        self._drawing = threading.Semaphore(_AT_ONCE)

    def of_video(self, system: System, team_id: UUID, video_id: UUID, *, team: str) -> tuple[UUID, bytes]:
        """A JPEG of a team's video, 320 pixels on its longer side, and the run whose people it shows.

        Raises:
            NotFound: there is no such video, or no run of it is done.
            SourceGone: its original was removed, changed or went away.
            ServiceUnavailable: too many pictures are being drawn.
        """
        with transaction(system.engine) as connection:
            video = select_video(connection, video_id, team=team)
            listed = select_listed_by_id(connection, team_id, [video_id])
        run_id = listed[0].current_run_id if listed else None
        if run_id is None:
            raise NotFound("no run of this video is done yet; its picture is there then")
        _ = video.original
        with self._guard:
            if run_id in self._kept:
                self._kept.move_to_end(run_id)
                return run_id, self._kept[run_id]
        if not self._drawing.acquire(timeout=_WAIT_S):
            raise ServiceUnavailable("too many pictures are being drawn; try again in a moment")
        try:
            from pipeline.services.preview import draw_thumbnail  # noqa: PLC0415 - OpenCV and more, 95 MiB

            picture = draw_thumbnail(system, run_id, team=team)
        finally:
            self._drawing.release()
        with self._guard:
            self._kept[run_id] = picture
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return run_id, picture
