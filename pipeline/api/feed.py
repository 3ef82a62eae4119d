"""What changes, for all who listen: one thread of this process asks the database, whoever many listen to it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pipeline.errors import PoselineError
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.video_list import Changes, read_changes

log = get_logger(__name__)

_EVERY_S = 1.0
_HEARTBEAT_S = 15.0
#: A listener asks anew after so long.
_LONGEST_S = 300.0
#: Whoever was let in before is told no event after so long without being asked for again.
_ASK_EVERY_S = 2.0
#: A listener that is so many events behind is told to read its list anew.
_MOST_WAITING = 100


@dataclass(frozen=True)
class Event:
    """One event: what `/changes` answers, and from where to go on."""

    id: str
    data: dict[str, Any]

    def encode(self) -> bytes:
        """The event as a server-sent one."""
        return f"id: {self.id}\nevent: changes\ndata: {json.dumps(self.data, separators=(',', ':'))}\n\n".encode()


@dataclass
class _Team:
    """A team that somebody listens to, and what was told of it last."""

    next: datetime | None = None
    count: int | None = None
    told: dict[str, Any] = field(default_factory=dict)
    queues: set[asyncio.Queue[Event | None]] = field(default_factory=set)


class Feed:
    """Tells listeners what changes of their teams' videos. Its thread runs while somebody listens."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._teams: dict[UUID, _Team] = {}
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        """End every stream, and the thread; called from the loop's own thread or any other."""
        self._stopping.set()
        with self._guard:
            queues = [queue for team in self._teams.values() for queue in team.queues]
            loop = self._loop
        if loop is not None:
            for queue in queues:
                loop.call_soon_threadsafe(_put, queue, None)

    async def listen(
        self, team_id: UUID, since: datetime | None, may_listen: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """A stream of events of one team, from what changed since the time that is given.

        Args:
            may_listen: asked again and again; the stream ends when it says no.
        """
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_MOST_WAITING)
        self._join(team_id, queue)
        try:
            yield b"retry: 2000\n\n"
            missed = await asyncio.to_thread(read_changes, self._system, team_id, since)
            self._begin(team_id, missed)
            if since is not None:
                yield _event(missed.to_dict()).encode()
            asked_at = self._loop.time()
            ends_at = asked_at + _LONGEST_S
            while not self._stopping.is_set() and (left_s := ends_at - self._loop.time()) > 0:
                try:
                    event = await asyncio.wait_for(queue.get(), min(_HEARTBEAT_S, left_s))
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if event is None:
                    return
                if self._loop.time() - asked_at > _ASK_EVERY_S:
                    if not await asyncio.to_thread(may_listen):
                        return
                    asked_at = self._loop.time()
                yield event.encode()
        except PoselineError as error:  # the listener comes again
            log.warning("changes_unread", reason=error.message)
        finally:
            self._leave(team_id, queue)

    def _join(self, team_id: UUID, queue: asyncio.Queue[Event | None]) -> None:
        with self._guard:
            self._teams.setdefault(team_id, _Team()).queues.add(queue)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()

    def _begin(self, team_id: UUID, missed: Changes) -> None:
        """Ask from here on, where nobody has asked yet: what changes before the thread's first turn is told, too."""
        with self._guard:
            team = self._teams[team_id]
            if team.next is None:
                team.next, team.count = missed.next, missed.count

    def _leave(self, team_id: UUID, queue: asyncio.Queue[Event | None]) -> None:
        with self._guard:
            self._teams[team_id].queues.discard(queue)
            if not self._teams[team_id].queues:
                del self._teams[team_id]

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            with self._guard:
                teams = dict(self._teams)
                if not teams:
                    self._thread = None
                    return
            for team_id, team in teams.items():
                try:
                    self._ask(team_id, team)
                except PoselineError as error:  # such as Postgres that restarts: what changed meanwhile is told then
                    log.warning("changes_unread", reason=error.message)
                    break
                except Exception as error:
                    log.error("changes_unread", exc_info=error)

    def _ask(self, team_id: UUID, team: _Team) -> None:
        changes = read_changes(self._system, team_id, team.next)
        known, first = changes.to_dict(), team.next is None
        fresh = [video for video in known["videos"] if team.told.get(video["video_id"]) != video]
        team.told = {video["video_id"]: video for video in known["videos"]}
        changed = bool(fresh) or not changes.complete or (changes.count != team.count and not first)
        team.next, team.count = changes.next, changes.count
        if not changed or self._loop is None:
            return
        event = _event({**known, "videos": fresh})
        with self._guard:
            for queue in team.queues:
                self._loop.call_soon_threadsafe(_put, queue, event)


def _event(data: dict[str, Any]) -> Event:
    return Event(data["next"], data)


def _put(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    """Give a listener an event; one that is far behind ends, and asks anew from where it was."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        event = None
    queue.put_nowait(event)
