"""Back-pressure: while a disk, the object store or the database is near its limit, no more videos are taken in.

A tick looks at each part and writes down what is short. The dispatcher then sends no ingests, clients wait before the
next upload, and `status`, `doctor` and `show` give the reason. Analysis goes on: it needs little room, and what is in
gets done. A part has to have clearly more room before taking in goes on, so that it does not go to and fro.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.db import pressure as db
from pipeline.db.engine import transaction
from pipeline.db.pressure import Part, Pressure
from pipeline.db.workers import select_workers
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.teams import in_bytes

log = get_logger(__name__)

#: Shares of a limit: at the upper one taking in pauses, below the lower one it goes on.
PAUSE_AT, RESUME_AT = 0.95, 0.9
#: How many times the free space at which a disk counts as nearly full it has to have again.
_ROOM_AGAIN = 1.25
_POLL_S = 2.0


class _Measured(NamedTuple):
    part: Part
    limit_bytes: int | None
    measure: Callable[[Connection], int]
    what: str


def watch_pressure(system: System) -> None:
    """Write down which parts are near their limits."""
    settings = system.settings
    with transaction(system.engine) as connection:
        _note(connection, "disk", _workers_short_of_disk(connection))
        for part, limit, measure, what in (
            _Measured("store", settings.store_max_bytes, db.stored_bytes, "the videos in the object store take"),
            _Measured("database", settings.database_max_bytes, db.database_bytes, "the database takes"),
        ):
            reason = None
            if limit is not None:
                used = measure(connection)
                if used >= limit * (RESUME_AT if db.is_pressed(connection, part) else PAUSE_AT):
                    fix = f"make room, or raise POSELINE_{part.upper()}_MAX_BYTES"
                    reason = f"{what} {in_bytes(used)} of {in_bytes(limit)}: {fix}"
            _note(connection, part, reason)


def note_store_full(system: System, reason: str) -> None:
    """Write down that the object store refused an object for want of room; it is asked again after a minute."""
    with transaction(system.engine) as connection:
        db.put_pressure(connection, "store-full", reason)


def list_pressure(system: System) -> list[Pressure]:
    """The parts that are near their limits."""
    with transaction(system.engine) as connection:
        return db.select_pressure(connection)


class Room:
    """Waits for room, from many threads, and says what is short: each part once, until there was room again."""

    def __init__(self, system: System, say: Callable[[str], None]) -> None:
        self._system, self._say = system, say
        self._said: set[str] = set()
        self._guard = threading.Lock()

    def wait(self, stopping: threading.Event) -> None:
        """Return when there is room, or `stopping` is set."""
        while found := list_pressure(self._system):
            self._say_once(found[0], "waiting to upload, and going on by itself when there is room")
            if stopping.wait(_POLL_S):
                return
        with self._guard:
            self._said.clear()

    def tell(self, short_of: Pressure) -> None:
        """Say that objects, which are not uploaded, are registered and wait."""
        self._say_once(short_of, "registered objects wait to be read until there is room")

    def _say_once(self, short_of: Pressure, what: str) -> None:
        with self._guard:
            if short_of.part in self._said:
                return
            self._said.add(short_of.part)
        self._say(f"{what}: {short_of.reason}")


def describe_full_disk(folder: Path, min_bytes: int, *, was_low: bool) -> str:
    """Why a worker with its scratch files in `folder` takes in no video; empty while there is room."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if free >= min_bytes * (_ROOM_AGAIN if was_low else 1.0):
        return ""
    return f"only {in_bytes(free)} free at {folder}: make room, or lower POSELINE_DISK_MIN_BYTES"


def decline_ingest(system: System, video_id: UUID) -> None:
    """Have another worker take a video in, or this one later: it has no room for it."""
    with transaction(system.engine) as connection:
        db.put_back_ingest(connection, video_id)
    log.warning("ingest_declined", video=str(video_id), reason="no room for scratch files")


def _workers_short_of_disk(connection: Connection) -> str | None:
    """Why no worker can take a video in; one that has room is enough."""
    workers = [worker for worker in select_workers(connection) if worker.draining_at is None]
    if not workers or not all(worker.disk_low for worker in workers):
        return None
    return f"{workers[0].name} has {workers[0].disk_low}"


def _note(connection: Connection, part: Part, reason: str | None) -> None:
    if reason is None:
        if db.clear_pressure(connection, part):
            log.info("ingest_goes_on", part=part)
    elif db.put_pressure(connection, part, reason):
        log.warning("ingest_paused", part=part, reason=reason)
