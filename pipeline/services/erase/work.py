"""Go on with an erasure until nothing is left: rows first, so that no worker can add to them, then objects and frames.

Each step is one transaction, and does nothing twice, so an erasure goes on wherever it was interrupted, and several may
go on with the same one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from pipeline.core.object_keys import team_folder
from pipeline.core.progress import SILENT, Progress
from pipeline.db import erasures as db
from pipeline.db.backups import may_remove_objects
from pipeline.db.engine import transaction
from pipeline.db.erased_rows import delete_team, delete_video, select_team_videos
from pipeline.db.erasures import Item
from pipeline.db.frame_removal import has_removals
from pipeline.errors import ServiceUnavailable, in_one_line
from pipeline.logs import get_logger
from pipeline.services.dispatch import dispatch
from pipeline.services.erase.receipt import build_receipt
from pipeline.services.frame_removal import remove_frames
from pipeline.services.system import System

log = get_logger(__name__)

T = TypeVar("T")

_TRIES, _PAUSE_S, _POLL_S = 6, 0.1, 0.1
#: An object is looked for again a minute after its erasure, then after twice as long each time.
_FIRST_LOOK_S = 60.0


def go_on(system: System, erasure_id: UUID, *, until: float | None = None, progress: Progress = SILENT) -> bool:
    """Go on with an erasure. Returns whether it is finished.

    `progress` counts videos.

    Args:
        until: stop at this time of `time.monotonic`; None to go on to the end, also where others work on it.

    Raises:
        ServiceUnavailable: a server does not answer; a tick will go on.
    """
    told = False
    while until is None or time.monotonic() < until:
        if any(step(system, erasure_id, until, progress) for step in (_erase_video, _erase_object, _erase_frames)):
            continue
        if _erase_team(system, erasure_id, until):
            continue
        if _finish(system, erasure_id):
            dispatch(system)  # messages of runs that are gone made up a part of the window
            return True
        if until is not None:
            return False
        if not told and _waits_for_backup(system):
            progress.step("a backup is being made; the objects are removed when it has ended")
            told = True
        time.sleep(_POLL_S)  # somebody else has what is left in hand
    return False


def _waits_for_backup(system: System) -> bool:
    with transaction(system.engine) as connection:
        return not may_remove_objects(connection)


def finish_erasures(system: System, until: float) -> None:
    """Go on with every erasure that was begun, until that time, and look for what came back of those that ended."""
    with transaction(system.engine) as connection:
        unfinished = db.select_unfinished(connection)
    for erasure_id in unfinished:
        try:
            if go_on(system, erasure_id, until=until):
                log.info("erased", erasure=str(erasure_id))
        except (ServiceUnavailable, IntegrityError) as error:  # another may not be hindered by the same
            log.warning("erasure_waits", erasure=str(erasure_id), reason=in_one_line(error))
    while time.monotonic() < until and _look_again(system):
        pass


def _erase_video(
    system: System, erasure_id: UUID, until: float | None, progress: Progress, this: Item | None = None
) -> bool:
    """Delete the rows of one video, or of this one. Returns whether there was one to be done."""

    def delete() -> tuple[Item, ...] | None:
        with transaction(system.engine) as connection:
            item = db.lock_item(connection, erasure_id, "video", this)
            if item is None:
                return None
            gone = delete_video(connection, UUID(item.key), system.store.bucket)
            db.add_items(connection, erasure_id, gone.items)
            first = tuple(each for each in gone.items if each.kind == "video")
            if not first:
                db.note_found(connection, erasure_id, item, gone.rows)
                db.mark_done(connection, erasure_id, item)
            return first

    first = _patiently(delete, until)
    if first is None:
        return False
    for each in first:  # second uploads of the same content, which refer to this one; it comes again
        _erase_video(system, erasure_id, until, progress, each)
    progress.advance(int(not first))
    return True


def _erase_object(system: System, erasure_id: UUID, _: float | None, __: Progress) -> bool:
    """Remove the versions of one object, and uploads to it; what there is is written down before. A backup that is
    being made keeps all objects until it has ended."""
    versions = system.store.versions
    with transaction(system.engine) as connection:
        item = db.lock_item(connection, erasure_id, "object")
        if item is None or not may_remove_objects(connection):
            return False
        db.note_found(connection, erasure_id, item, asdict(versions.find(item.bucket, item.key)))
    with transaction(system.engine) as connection:
        if db.lock_item(connection, erasure_id, "object", item) is not None and may_remove_objects(connection):
            db.note_found(connection, erasure_id, item, asdict(versions.remove(item.bucket, item.key)))
            db.mark_done(connection, erasure_id, item)
    return True


def _erase_frames(system: System, erasure_id: UUID, until: float | None, _: Progress) -> bool:
    """Delete the frames of one run."""
    with transaction(system.engine) as connection:
        item = db.lock_item(connection, erasure_id, "run")
        if item is None:
            return False
        if not has_removals(connection, UUID(item.key)):
            db.mark_done(connection, erasure_id, item)
            return True
    remove_frames(system, run_id=UUID(item.key), until=until)
    return until is None or time.monotonic() < until


def _erase_team(system: System, erasure_id: UUID, until: float | None) -> bool:
    """Delete the team's row once its videos are gone; those that came in meanwhile go first."""

    def delete() -> bool:
        with transaction(system.engine) as connection:
            if db.has_open_items(connection, erasure_id, "video"):
                return False
            item = db.lock_item(connection, erasure_id, "team")
            if item is None:
                return False
            team_id = UUID(item.key)
            videos = select_team_videos(connection, team_id)
            db.add_items(connection, erasure_id, [Item("video", str(each)) for each in videos])
            if not videos:
                gone = delete_team(connection, team_id)
                db.add_items(connection, erasure_id, [Item("object", team_folder(team_id), system.store.bucket)])
                db.note_found(connection, erasure_id, item, gone.rows)
                db.mark_done(connection, erasure_id, item)
            return True

    return _patiently(delete, until)


def _finish(system: System, erasure_id: UUID) -> bool:
    """Write the receipt if nothing is left to be done. Returns whether the erasure is finished."""
    with transaction(system.engine) as connection:
        if db.lock_unfinished(connection, erasure_id) is None:
            return True
        if db.has_open_items(connection, erasure_id):
            return False
        receipt = build_receipt(db.iter_items(connection, erasure_id))
        db.finish(connection, erasure_id, receipt, _FIRST_LOOK_S)
    return True


def _look_again(system: System) -> bool:
    """Look for one object of a finished erasure, and remove what was on its way to the store then. Returns whether one
    was due."""
    with transaction(system.engine) as connection:
        due = db.lock_look(connection)
        if due is None:
            return False
        erasure_id, item, age_s = due
        found = system.store.versions.remove(item.bucket, item.key)
        over = age_s > system.settings.upload_expiry_s
        db.look_later(connection, erasure_id, item, None if over else max(_FIRST_LOOK_S, age_s))
    if found:
        log.warning("erased_again", erasure=str(erasure_id), versions=found.versions, uploads=found.uploads)
    return True


def _patiently(call: Callable[[], T], until: float | None) -> T:
    """Call until no other transaction is in the way; a tick does not wait for that."""
    for tries in range(_TRIES):
        try:
            return call()
        except (IntegrityError, ServiceUnavailable):
            if tries == _TRIES - 1 or until is not None:
                raise
            time.sleep(_PAUSE_S * 2**tries)
    raise AssertionError
