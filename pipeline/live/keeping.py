"""Keeping sessions: each is written to a folder by a thread of its own, and becomes a video of its team afterwards.

Nobody waits for the disk: a session whose pictures come faster than they are written, or whose disk is nearly full,
goes on and is kept up to there. What a killed process leaves is taken up by the next one with the same home.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from pipeline.core.live_protocol import Codec, Frame
from pipeline.core.live_record import encode_entry
from pipeline.core.live_results import Fate
from pipeline.core.poses import FramePoses
from pipeline.db.live_sessions import LiveSession
from pipeline.errors import NotKept, PoselineError, Stopping, in_one_line
from pipeline.live.camera_thread import Received
from pipeline.logs import get_logger
from pipeline.services.live.keeping import reserve, store
from pipeline.services.live.spool import About, End, SpoolWriter, Taken, free_bytes, iter_left
from pipeline.services.live.spooled import Spool
from pipeline.services.system import System
from pipeline.services.teams import in_bytes, limits_of

if TYPE_CHECKING:
    from pipeline.inference.pose_model import PoseModel

log = get_logger(__name__)

FOLDER: Final = "live"
#: Of a session's frames, waiting for the disk.
_MOST_WAITING_BYTES: Final = 32 << 20
#: Of the largest video that a team may have; the rest is for the poses.
_MOST_OF_LIMIT: Final = 0.9
_LOOK_EVERY_S: Final = 1.0
_SCAN_EVERY_S: Final = 20.0
_CLOSE_S: Final = 5.0


class KeptSession(threading.Thread):
    """Writes one session. Its methods are for the event loop.

    Args:
        least_free_bytes: of the disk, or keeping ends.
        most_bytes: of its pictures, or keeping ends.
        on_stopped: called from any thread, once, with the reason if keeping ends before the session.
    """

    def __init__(
        self, writer: SpoolWriter, least_free_bytes: int, most_bytes: int, on_stopped: Callable[[str], None]
    ) -> None:
        super().__init__(name="live-keep", daemon=True)
        self.taken = writer.taken
        self.stopped = ""
        self._writer, self._on_stopped = writer, on_stopped
        self._least_free_bytes, self._most_bytes = least_free_bytes, most_bytes
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._given_bytes = self._written_bytes = 0
        self._looked_s = time.monotonic()
        self._broken = False
        self._end = End()
        self.start()

    def write_frame(self, frame: Frame) -> None:
        """Keep a frame that was received."""
        if self.stopped:
            return
        size = len(frame.data)
        if self._given_bytes + size - self._written_bytes > _MOST_WAITING_BYTES:
            self._give_up("the disk of the live process is too slow for it")
            return
        if self._given_bytes + size > self._most_bytes:
            self._give_up(f"it has {in_bytes(self._most_bytes)}, as much as a kept session of this team may have")
            return
        self._given_bytes += size

        def write() -> None:
            self._writer.write_frame(frame.id, frame.captured_at_ms, frame.data)
            self._written_bytes += size

        self._inbox.put(write)

    def write_fate(self, received: Received, fate: Fate, poses: FramePoses | None, reason: str) -> None:
        """Keep what became of a frame. That of one that was not kept does no harm."""
        size, decoded = received.size or (0, 0), received.size is not None

        def write() -> None:
            entry = encode_entry(fate, poses, reason)
            self._writer.write_fate(received.id, entry, decoded=decoded, size=size)

        self._inbox.put(write)

    def finish(self, end: End) -> None:
        """Write what waits, and how the session ended. Blocks."""
        self._end = end
        self._inbox.put(None)
        self.join()

    def run(self) -> None:
        while (write := self._inbox.get()) is not None:
            if self._broken:
                continue
            try:
                write()
                self._look()
            except OSError as error:
                self._broken = True
                self._give_up(f"the live process cannot write it: {error.strerror or error}")
        self._end.not_kept = self.stopped
        self._writer.end(self._end)

    def _look(self) -> None:
        now_s = time.monotonic()
        if not self.stopped and now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = now_s
            if (reason := why_no_room(self.taken.folder, self._least_free_bytes)) is not None:
                self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        if not self.stopped:
            self.stopped = reason
            self._on_stopped(reason)


def why_no_room(folder: Path, least_bytes: int) -> str | None:
    """Why a disk has no room for a session; None where it has."""
    free = free_bytes(folder)
    if free >= least_bytes:
        return None
    return f"the disk of the live process has {in_bytes(free)} left, {in_bytes(least_bytes)} are to stay free"


@dataclass(frozen=True)
class Kept:
    """What became of a session that was to be kept.

    Args:
        video_id: None where it was not, or is not yet.
        reason: why it was not, or not all of it; empty where it was.
    """

    video_id: UUID | None
    reason: str = ""

    def to_dict(self) -> dict[str, str | None]:
        """The same for `summary`."""
        return {"video": None if self.video_id is None else str(self.video_id), "not_kept": self.reason or None}


class Keeper(threading.Thread):
    """Makes videos of a process's sessions, and of those that killed processes left in the same home."""

    def __init__(self, system: System) -> None:
        super().__init__(name="live-keeper", daemon=True)
        self._system = system
        self._home = system.settings.home / FOLDER
        self._inbox: queue.SimpleQueue[tuple[Taken, Spool, UUID] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._unreadable: set[str] = set()

    def begin(self, row: LiveSession, codec: Codec, model: PoseModel, on_stopped: Callable[[str], None]) -> KeptSession:
        """Begin to keep a session.

        Raises:
            NotKept: its disk has no room.
        """
        about = About(
            session=str(row.id),
            team=row.team,
            team_id=str(row.team_id),
            name=row.name,
            codec=codec,
            model=model.spec.to_json(),
            device=model.device.summary,
            mode=row.mode,
        )
        least_bytes = self._system.settings.disk_min_bytes
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            if (reason := why_no_room(self._home, least_bytes)) is not None:
                raise NotKept(reason)
            most_bytes = int(_MOST_OF_LIMIT * limits_of(self._system, row.team).max_bytes)
            return KeptSession(SpoolWriter(self._home, about), least_bytes, most_bytes, on_stopped)
        except PoselineError as error:
            raise NotKept(in_one_line(error)) from error
        except OSError as error:
            raise NotKept(f"the live process cannot write it: {error.strerror or error}") from error

    def finish(self, kept: KeptSession, end: End) -> Kept:
        """End a session's folder, and have it become a video. Blocks until that video has an id, not until it is
        stored."""
        kept.finish(end)
        try:
            spool = Spool(kept.taken.folder)
            video_id = reserve(self._system, spool)
        except NotKept as error:
            kept.taken.remove()
            return Kept(None, kept.stopped or error.message)
        except (PoselineError, OSError) as error:
            kept.taken.close()
            return Kept(None, f"it is stored as soon as that can be: {in_one_line(error)}")
        except Exception:
            log.exception("live_session_unreadable", session=kept.taken.folder.name)
            kept.taken.close()
            return Kept(None, "it cannot be read again; the log of the live process says why")
        self._inbox.put((kept.taken, spool, video_id))
        return Kept(video_id, kept.stopped)

    def close(self) -> None:
        """End soon; what is not stored yet is left to the next process."""
        self._stopping.set()
        self._inbox.put(None)
        if self.is_alive():
            self.join(_CLOSE_S)

    def run(self) -> None:
        scanned_s = -_SCAN_EVERY_S
        while not self._stopping.is_set():
            if time.monotonic() - scanned_s >= _SCAN_EVERY_S:
                self._take_up()
                scanned_s = time.monotonic()
            try:
                ended = self._inbox.get(timeout=_SCAN_EVERY_S)
            except queue.Empty:
                continue
            if ended is not None:
                taken, spool, video_id = ended
                self._try(taken, partial(self._store, spool, video_id))

    def _take_up(self) -> None:
        """What processes left that ended, or could not be stored when it ended."""
        for taken in iter_left(self._home):
            if self._stopping.is_set():
                taken.close()
                return
            self._try(taken, partial(self._take_up_one, taken.folder))

    def _take_up_one(self, folder: Path) -> None:
        spool = Spool(folder)
        self._store(spool, reserve(self._system, spool))

    def _try(self, taken: Taken, do: Callable[[], None]) -> None:
        """Finish with a folder: it is removed, unless there is a point in trying again."""
        name = taken.folder.name
        try:
            do()
        except NotKept as error:
            log.warning("live_session_not_kept", session=name, reason=error.message)
        except (PoselineError, OSError) as error:
            if not isinstance(error, Stopping):
                log.warning("live_session_not_stored", session=name, reason=in_one_line(error))
            taken.close()
            return
        except Exception:  # a folder that was damaged from outside; it is left for whoever looks
            if name not in self._unreadable:
                self._unreadable.add(name)
                log.exception("live_session_unreadable", session=name)
            taken.close()
            return
        taken.remove()

    def _store(self, spool: Spool, video_id: UUID) -> None:
        store(self._system, spool, video_id, self._check)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise Stopping
