"""Find a video by what a person calls it."""

from __future__ import annotations

from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.videos import select_video
from pipeline.errors import NotFound
from pipeline.services.runs import find_run, get_run
from pipeline.services.system import System


def find_video(system: System, name_or_id: str, *, team: str | None) -> UUID:
    """The id of a video by its own id, its name, or the id of one of its runs.

    Raises:
        NotFound: there is none, or it is not clear which is meant.
        UnknownTeam: there is no such team.
    """
    try:
        video_id = UUID(name_or_id)
        with transaction(system.engine) as connection:
            return select_video(connection, video_id, team=team).id
    except (ValueError, NotFound):
        return get_run(system, find_run(system, name_or_id, team=team), team=team).run.video_id
