"""A live process from within: its sessions, who is let in, what is done under overload, and its reports to Postgres."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

import pipeline
from pipeline.core.live_admission import Demand, Governor, Speed, foretell_p95_ms, may_enter, room_for
from pipeline.core.live_protocol import CloseCode, Mode
from pipeline.core.live_results import Fate
from pipeline.db.live_processes import REPORT_EVERY_S, LiveProcess
from pipeline.db.live_sessions import LiveSession
from pipeline.errors import PoselineError
from pipeline.live.camera_thread import Received
from pipeline.live.engine import Engine
from pipeline.live.keeping import Keeper
from pipeline.live.session import Session
from pipeline.logs import get_logger
from pipeline.services.live.processes import end_session, remove_process, report_process, take_session
from pipeline.services.live.yielding import machine_id
from pipeline.services.system import System
from pipeline.settings import Settings

log = get_logger(__name__)

#: The p95 is that of so many seconds.
_LATELY_S = 5.0
_LOOK_EVERY_S = 0.5
_DRAIN_S = 5.0
_NEWEST = 0.05
#: A session that is refused where no other is has the device measured again, unless that was just done.
_MEASURED_S = 2.0
#: Before a frame was decoded.
_USUAL_DECODE_MS = 3.0


@dataclass(frozen=True)
class Refused:
    """Why a session is not let in, and what it may have instead."""

    reason: str
    offer: Mode


class Host:
    """The sessions of one process. Everything is called in the event loop.

    Args:
        name: of the process.
        url: where `poseline web` reaches it.
    """

    def __init__(self, system: System, engine: Engine, name: str, url: str) -> None:
        self.engine = engine
        self.name = name
        self.sessions: dict[object, Session] = {}
        self.draining = False
        self.keeper = Keeper(system)
        self._system = system
        self._url = url
        self._decode_ms = _USUAL_DECODE_MS
        self._lately: deque[tuple[float, float]] = deque()
        self._measuring = asyncio.Lock()
        self._measured_s = -math.inf
        self._governor = Governor(self.settings.live_budget_ms)

    @property
    def settings(self) -> Settings:
        """This process's settings."""
        return self._system.settings

    @property
    def speed(self) -> Speed:
        """What this process can do, as measured lately."""
        engine = self.engine
        return Speed(engine.call_ms, engine.model.batch, engine.slots, self._decode_ms)

    async def enter(self, session: Session) -> Refused | None:
        """Let a session in; else why not.

        What was measured while nobody was here may be old, or of a busy moment; the first one is not refused for that.
        """
        refused = self._enter(session)
        if refused is None or self.draining or self.sessions:
            return refused
        async with self._measuring:
            if not self.sessions and time.monotonic() - self._measured_s > _MEASURED_S:
                await asyncio.to_thread(self.engine.measure)
                self._measured_s = time.monotonic()
        return self._enter(session)

    def _enter(self, session: Session) -> Refused | None:
        if self.draining:
            return Refused("this live process stops; connect again", session.mode)
        others = [other.demand for other in self.sessions.values()]
        budget_ms = self.settings.live_budget_ms
        if may_enter(self.speed, budget_ms, others, session.demand):
            self.sessions[session.row.id] = session
            return None
        room = room_for(self.speed, budget_ms, others)
        offer = Mode.PREVIEW if session.mode is Mode.HYBRID else room
        foretold_ms = foretell_p95_ms(self.speed, [*others, session.demand])
        reason = (
            f"there is no room for another session: a frame would take {foretold_ms:.0f} ms here, {budget_ms:.0f} ms "
            f"are allowed, and each session is to have 5 frames a second; "
            + ("take `hybrid`, or " if offer is Mode.HYBRID else "")
            + "try again later"
        )
        return Refused(reason, offer)

    def may_have(self, session: Session, mode: Mode) -> bool:
        """Whether a session that is here may have another mode."""
        others = [other.demand for other in self.sessions.values() if other is not session]
        wanted = session.demand
        again = type(wanted)(wanted.id, wanted.begun_at_s, wanted.wanted, mode, wanted.fps)
        return may_enter(self.speed, self.settings.live_budget_ms, others, again)

    def leave(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.pop(session.row.id, None)

    def note(self, received: Received, fate: Fate, now_s: float) -> None:
        """Note how long a frame took."""
        if received.decode_ms:
            self._decode_ms += _NEWEST * (received.decode_ms - self._decode_ms)
        if fate is Fate.ANALYSED:
            self._lately.append((now_s, 1000 * (now_s - received.received_s)))

    def p95_ms(self, now_s: float) -> float | None:
        """Of decoding, waiting and processing in the last seconds; None where nothing was analysed."""
        while self._lately and self._lately[0][0] < now_s - _LATELY_S:
            self._lately.popleft()
        return float(np.percentile([ms for _, ms in self._lately], 95)) if self._lately else None

    async def govern(self) -> None:
        """Degrade and restore sessions, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                self._govern_once()
            except Exception:
                log.exception("live_not_governed")

    def _govern_once(self) -> None:
        self.engine.try_out()
        now_s = time.monotonic()
        demands = [session.demand for session in self.sessions.values()]
        change = self._governor.look(now_s, self.p95_ms(now_s), self.speed, demands)
        if change is not None and change.id in self.sessions:
            log.info("live_session_changed", session=str(change.id), mode=change.mode, why=change.why)
            self.sessions[change.id].change(change)

    async def report(self) -> None:
        """Report to Postgres, for ever; an outage of it is no reason to stop."""
        while True:
            try:
                await self.report_now()
            except PoselineError as error:
                log.warning("live_not_reported", reason=error.message)
            except Exception:
                log.exception("live_not_reported")
            await asyncio.sleep(REPORT_EVERY_S)

    async def report_now(self) -> None:
        """Report once."""
        speed, demands = self.speed, [session.demand for session in self.sessions.values()]
        budget_ms = self.settings.live_budget_ms
        process = LiveProcess(
            name=self.name,
            url=self._url,
            machine=machine_id(),
            pid=os.getpid(),
            version=pipeline.__version__,
            model=self.engine.model.spec.full_name,
            device=self.engine.model.device.summary,
            call_ms=speed.call_ms,
            p95_ms=self.p95_ms(time.monotonic()),
            foretold_ms=foretell_p95_ms(speed, [*demands, Demand(None, math.inf, Mode.FULL, Mode.FULL)]),
            room=room_for(speed, budget_ms, demands),
            sessions=len(demands),
        )
        open_ids = [session.row.id for session in self.sessions.values()]
        if not self.draining:
            await asyncio.to_thread(report_process, self._system, process, open_ids)

    async def admit(self, ticket: str) -> LiveSession | None:
        """The session that a ticket is for."""
        return await asyncio.to_thread(take_session, self._system, self.name, ticket)

    async def note_end(self, session: Session) -> None:
        """Note how a session ended."""
        log.info("live_session_ended", session=str(session.row.id), reason=session.reason, **session.counts.to_dict())
        try:
            await asyncio.to_thread(
                end_session, self._system, session.row.id, session.reason or "it ended", session.counts.to_dict()
            )
        except PoselineError as error:
            log.warning("live_session_not_noted", session=str(session.row.id), reason=error.message)

    async def drain(self) -> None:
        """Take no more sessions, tell those that are here to connect again, and wait until they have gone."""
        self.draining = True
        for session in list(self.sessions.values()):
            session.end(CloseCode.RESTARTS, "this live process stops; connect again")
        try:
            await asyncio.to_thread(remove_process, self._system, self.name)
        except PoselineError as error:
            log.warning("live_not_removed", reason=error.message)
        until_s = time.monotonic() + _DRAIN_S
        while self.sessions and time.monotonic() < until_s:
            await asyncio.sleep(0.02)
