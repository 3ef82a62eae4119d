"""Objects that are gone: their videos follow to another object with the same content, or say so."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pipeline.core.objects import StoredObject
from pipeline.db.engine import transaction
from pipeline.db.uploads import repin
from pipeline.db.watched_videos import KnownObject, mark_source_gone, select_other_sources
from pipeline.errors import SourceGone
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.watch.intake import at_once

log = get_logger(__name__)


def check_sources(system: System, suspects: Sequence[KnownObject]) -> int:
    """Look for the objects of videos that a listing did not name. Returns how many have none any more.

    Raises:
        ServiceUnavailable: the object store does not answer, or refuses.
    """
    found = at_once(lambda one: is_there(system, one.pinned), suspects)
    gone = [one for one, there in zip(suspects, found, strict=True) if not there]
    return sum(not follow(system, one) for one in gone)


def is_there(system: System, source: StoredObject) -> bool:
    """Whether an object is as it was when it was pinned."""
    try:
        system.store.check_unchanged(source)
    except SourceGone:
        return False
    return True


def follow(system: System, gone: KnownObject) -> bool:
    """Have a video read from a duplicate's object from now on, as after a rename; else note that its own is gone.

    Returns whether there was another.
    """
    with transaction(system.engine) as connection:
        others = select_other_sources(connection, gone.video_id)
    other = next((each for each in others if is_there(system, each)), None)
    with transaction(system.engine) as connection:
        if other is None:
            mark_source_gone(connection, gone)
        else:
            repin(connection, gone.video_id, other, owned=False)
    _log_of(gone.video_id, gone.pinned, other)
    return other is not None


def _log_of(video_id: UUID, gone: StoredObject, other: StoredObject | None) -> None:
    moved = {} if other is None else {"now": f"s3://{other.bucket}/{other.key}"}
    log.info("source_gone", video=str(video_id), was=f"s3://{gone.bucket}/{gone.key}", **moved)
