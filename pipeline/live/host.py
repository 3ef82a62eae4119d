"""A live process from within: its sessions, who is let in, what is done under overload, and its reports to Postgres."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

import pipeline
from pipeline.core.live_admission import HYBRID_EVERY_MS, Demand, Governor, Speed, foretell_p95_ms, may_enter, room_for
from pipeline.core.live_protocol import CloseCode, Mode
from pipeline.core.live_results import Fate
from pipeline.db.live_processes import REPORT_EVERY_S, LiveProcess
from pipeline.db.live_sessions import LiveSession
from pipeline.errors import PoselineError, in_one_line
from pipeline.live.camera_thread import Received
from pipeline.live.engine import Engine
from pipeline.live.engine_source import EngineSource
from pipeline.live.keeping import Keeper
from pipeline.live.options import Options
from pipeline.live.session import Session
from pipeline.logs import get_logger
from pipeline.services.live.processes import (
    end_session,
    register_process,
    remove_process,
    report_process,
    take_session,
)
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
#: Between two sessions that come in, and how many wait for that. What a frame costs beside a new one is seen by then.
_BETWEEN_S = 0.2
_IN_LINE = 10
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
        source: gives the engine of all of them.
    """

    def __init__(self, system: System, source: EngineSource, options: Options) -> None:
        self.source = source
        self.name = options.name
        self.sessions: dict[object, Session] = {}
        self.draining = False
        self.keeper = Keeper(system)
        self._system = system
        self._options = options
        self._registered: datetime | None = None
        self._has_name = True
        self._reporting = asyncio.Lock()
        self._decode_ms = _USUAL_DECODE_MS
        self._lately: deque[tuple[float, float]] = deque()
        self._measuring = asyncio.Lock()
        self._measured_s = -math.inf
        self._entering = asyncio.Lock()
        self._in_line = 0
        self._next_s = -math.inf
        self._governor = Governor(self.settings.live_budget_ms)

    @property
    def settings(self) -> Settings:
        """This process's settings."""
        return self._system.settings

    @property
    def engine(self) -> Engine:
        """The engine, once a session has asked for it."""
        assert self.source.engine is not None
        return self.source.engine

    @property
    def speed(self) -> Speed:
        """What this process can do, as measured lately."""
        engine = self.engine
        return Speed(engine.call_ms, engine.model.batch, engine.slots, self._decode_ms)

    async def enter(self, session: Session) -> Refused | None:
        """Let a session in; else why not. The first one has the model loaded, if it is not.

        What was measured while nobody was here may be old, or of a busy moment; the first one is not refused for that.
        One comes in after the other, so that what the first takes is seen before the next is there.
        """
        try:
            await self.source.get()
        except PoselineError as error:
            return Refused(f"the server's model cannot be loaded: {in_one_line(error)}", Mode.PREVIEW)
        refused = self._refusal(session)
        if refused is not None and not self.draining and not self.sessions:
            async with self._measuring:
                if not self.sessions and time.monotonic() - self._measured_s > _MEASURED_S:
                    await asyncio.to_thread(self.engine.measure)
                    self._measured_s = time.monotonic()
            refused = self._refusal(session)
        if refused is None and self._in_line >= _IN_LINE:
            return Refused("many ask for a session at once; try again in a moment", Mode.PREVIEW)
        if refused is None:
            self._in_line += 1
            try:
                async with self._entering:
                    await asyncio.sleep(self._next_s - time.monotonic() if self.sessions else 0)
                    if (refused := self._refusal(session)) is None:
                        self.sessions[session.row.id] = session
                        self._next_s = time.monotonic() + _BETWEEN_S
            finally:
                self._in_line -= 1
        return refused

    def _refusal(self, session: Session) -> Refused | None:
        if self.draining:
            return Refused("this live process stops; connect again", session.mode)
        others = [other.demand for other in self.sessions.values()]
        budget_ms = self.settings.live_budget_ms
        if may_enter(self.speed, budget_ms, others, session.demand):
            p95_ms = self.p95_ms(time.monotonic()) if others else None
            if p95_ms is None or p95_ms <= budget_ms:
                return None
            return Refused(
                f"frames take {p95_ms:.0f} ms here now, {budget_ms:.0f} ms are allowed; try again later", Mode.PREVIEW
            )
        room = room_for(self.speed, budget_ms, others)
        offer = Mode.PREVIEW if session.mode is Mode.HYBRID else room
        foretold_ms = foretell_p95_ms(self.speed, [*others, session.demand])
        reason = (
            f"there is no room for another session: at 5 frames a second each would take {foretold_ms:.0f} ms here, "
            f"{budget_ms:.0f} ms are allowed; "
            + ("choose hybrid, or " if offer is Mode.HYBRID else "")
            + "try again later"
        )
        return Refused(reason, offer)

    def may_have(self, session: Session, mode: Mode) -> bool:
        """Whether a session that is here may have another mode."""
        others = [other.demand for other in self.sessions.values() if other is not session]
        again = replace(session.demand, mode=mode, every_ms=HYBRID_EVERY_MS, sent_fps=0.0)
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
        if self.source.engine is None:
            return
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
        """Report once, unless this process takes no more sessions."""
        async with self._reporting:
            if self.draining:
                return
            process, open_ids = self._process(), [session.row.id for session in self.sessions.values()]
            if self._registered is None:
                self._registered = await asyncio.to_thread(register_process, self._system, process)
                return
            given = (self._system, process, self._registered, open_ids)
            has_name = await asyncio.to_thread(report_process, *given)
            if self._has_name and not has_name:
                log.warning("live_name_taken", name=self.name, fix="give each live process a --name of its own")
            self._has_name = has_name

    def _process(self) -> LiveProcess:
        """What is to be reported."""
        facts = LiveProcess(
            name=self.name,
            url=self._options.url,
            machine=machine_id(),
            pid=os.getpid(),
            version=pipeline.__version__,
            model=self.source.model,
            device=self._options.device,
            call_ms=0.0,
            p95_ms=None,
            foretold_ms=self.settings.live_budget_ms,
            room=Mode.FULL,
            sessions=0,
        )
        if self.source.engine is None:  # asked after those that are known to have room
            return facts
        speed, demands = self.speed, [session.demand for session in self.sessions.values()]
        return replace(
            facts,
            device=self.engine.model.device.summary,
            call_ms=speed.call_ms,
            p95_ms=self.p95_ms(time.monotonic()),
            foretold_ms=foretell_p95_ms(speed, [*demands, Demand(None, math.inf, Mode.FULL, Mode.FULL)]),
            room=room_for(speed, self.settings.live_budget_ms, demands),
            sessions=len(demands),
        )

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
        async with self._reporting:  # a report that is under way must not put it there again
            try:
                if self._registered is not None:
                    await asyncio.to_thread(remove_process, self._system, self.name, self._registered)
            except PoselineError as error:
                log.warning("live_not_removed", reason=error.message)
        until_s = time.monotonic() + _DRAIN_S
        while self.sessions and time.monotonic() < until_s:
            await asyncio.sleep(0.02)
