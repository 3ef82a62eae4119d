"""How many live sessions a process takes, by what it measures, and what it does when it takes too long. Pure.

A frame waits for a device call of each session before it, at most one of each and one of its own: a session has one
frame under way and one that waits. While the device is not busy it waits less; then the queue is that of random
arrivals at a service of constant time (M/D/1: mean wait rho / 2(1 - rho) of a call), whose 95th percentile is about
three times its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pipeline.core.live_pace import LEEWAY, SOONEST
from pipeline.core.live_protocol import Mode

#: A session of every frame gets at least so many in a second.
LEAST_FPS: Final = 5.0
#: What a hybrid session sends: first, and at the least.
HYBRID_EVERY_MS: Final = 500
SLOWEST_EVERY_MS: Final = 5_000
#: Over this many budgets for so long is overload; below one for so long is head room.
OVER_BUDGETS: Final = 1.5
OVER_S: Final = 3.0
HEAD_ROOM_S: Final = 10.0
_P95_OF_MEAN: Final = 3.0


@dataclass(frozen=True)
class Speed:
    """What a process can do.

    Args:
        call_ms: of one device call, as measured lately.
        batch: frames that one call takes.
        parallel: calls at once.
        decode_ms: of a frame, as measured lately.
    """

    call_ms: float
    batch: int = 1
    parallel: int = 1
    decode_ms: float = 3.0

    @property
    def frames_per_s(self) -> float:
        """Frames that it analyses in a second, at most."""
        return 1000 * self.batch * self.parallel / self.call_ms


@dataclass(frozen=True)
class Demand:
    """What one session sends.

    Args:
        begun_at_s: orders sessions by age.
        wanted: the mode that the client asked for; `mode` is the one that it has.
        every_ms: of a hybrid session.
        fps: of the camera, as the client declared it.
        sent_fps: frames that came in a second lately; 0 where that is not known.
    """

    id: object
    begun_at_s: float
    wanted: Mode
    mode: Mode
    fps: float = 30.0
    every_ms: int = HYBRID_EVERY_MS
    sent_fps: float = 0.0

    @property
    def rate(self) -> float:
        """Frames in a second for which the device is needed: as declared, or what is really sent if that is more, up to
        what is taken on."""
        declared = self.fps if self.mode is Mode.FULL else 1000 / self.every_ms
        return max(declared, min(self.sent_fps, self._most_taken))

    @property
    def exceeds(self) -> bool:
        """Whether it sends more than was declared or asked for."""
        return self.sent_fps > self._most_taken

    @property
    def _most_taken(self) -> float:
        return LEEWAY * self.fps if self.mode is Mode.FULL else 1000 / (SOONEST * self.every_ms)


def foretell_p95_ms(speed: Speed, demands: Sequence[Demand]) -> float:
    """What decoding, waiting and processing of a frame will take, for 95 % of them."""
    places = speed.batch * speed.parallel
    # One frame of each waits. Hybrid sessions have a frame there for a part of the time only.
    others = sum(1.0 if d.mode is Mode.FULL else min(1.0, d.rate * speed.call_ms / 1000) for d in demands)
    longest_ms = math.ceil(others / places - 1e-9) * speed.call_ms
    busy = sum(d.rate for d in demands) / speed.frames_per_s
    if busy < 1:
        random_ms = _P95_OF_MEAN * busy / (2 * (1 - busy)) * speed.call_ms / speed.parallel
        longest_ms = min(longest_ms, random_ms)
    return speed.decode_ms + longest_ms + speed.call_ms


def may_enter(speed: Speed, budget_ms: float, demands: Sequence[Demand], new: Demand) -> bool:
    """Whether a session can be let in without anybody having to wait for longer than the budget.

    The first one is let in wherever the device gives it the least rate.
    """
    everyone = [*demands, new]
    full = sum(1 for demand in everyone if demand.mode is Mode.FULL)
    left_per_s = speed.frames_per_s - sum(demand.rate for demand in everyone if demand.mode is not Mode.FULL)
    if left_per_s < LEAST_FPS * full or left_per_s < 0:
        return False
    return len(everyone) == 1 or foretell_p95_ms(speed, everyone) <= budget_ms


def room_for(speed: Speed, budget_ms: float, demands: Sequence[Demand]) -> Mode:
    """The most that another session could have: every frame, one every so often, or the preview alone."""
    for mode in (Mode.FULL, Mode.HYBRID):
        if may_enter(speed, budget_ms, demands, Demand(None, math.inf, mode, mode)):
            return mode
    return Mode.PREVIEW


@dataclass(frozen=True)
class Change:
    """What is to be done with one session: another mode, or its end where that is `preview`."""

    id: object
    mode: Mode
    every_ms: int
    why: Literal["overload", "head room"]


@dataclass
class Governor:
    """Degrades sessions while a process takes too long, by one step at a time, and gives back when there is room.

    The newest session of every frame becomes a hybrid one; where there is none, hybrid ones send less often, the newest
    first; where all send as little as can be, the newest ends. Those that send more than they declared come before all
    others. What is given back goes to the oldest first.
    """

    budget_ms: float
    _over_since_s: float | None = field(default=None, init=False)
    _under_since_s: float | None = field(default=None, init=False)

    def look(self, now_s: float, p95_ms: float | None, speed: Speed, demands: Sequence[Demand]) -> Change | None:
        """What to change now.

        Args:
            now_s: of any clock that never goes back.
            p95_ms: of the frames of the last seconds; None where there were none.
        """
        over = p95_ms is not None and p95_ms > OVER_BUDGETS * self.budget_ms
        under = p95_ms is None or p95_ms <= self.budget_ms
        self._over_since_s = (self._over_since_s or now_s) if over else None
        self._under_since_s = (self._under_since_s or now_s) if under else None
        change = None
        if self._over_since_s is not None and now_s - self._over_since_s >= OVER_S:
            change = _degrade(speed, demands)
        elif self._under_since_s is not None and now_s - self._under_since_s >= HEAD_ROOM_S:
            change = _restore(speed, self.budget_ms, demands)
        if change is not None:
            self._over_since_s = self._under_since_s = None
        return change


def _degrade(speed: Speed, demands: Sequence[Demand]) -> Change | None:
    newest_first = sorted(demands, key=lambda demand: (demand.exceeds, demand.begun_at_s), reverse=True)
    full = [demand for demand in newest_first if demand.mode is Mode.FULL]
    if len(demands) == 1 and full and speed.frames_per_s >= LEAST_FPS:
        return None  # nobody else is in its way
    if full:
        return Change(full[0].id, Mode.HYBRID, HYBRID_EVERY_MS, "overload")
    for demand in newest_first:
        if demand.every_ms < SLOWEST_EVERY_MS:
            return Change(demand.id, Mode.HYBRID, min(SLOWEST_EVERY_MS, 2 * demand.every_ms), "overload")
    return Change(newest_first[0].id, Mode.PREVIEW, 0, "overload") if newest_first else None


def _restore(speed: Speed, budget_ms: float, demands: Sequence[Demand]) -> Change | None:
    for demand in sorted(demands, key=lambda demand: demand.begun_at_s):
        if demand.mode is Mode.FULL or (demand.wanted is Mode.HYBRID and demand.every_ms <= HYBRID_EVERY_MS):
            continue
        others = [other for other in demands if other is not demand]
        if demand.every_ms > HYBRID_EVERY_MS:
            mode, every_ms = Mode.HYBRID, max(HYBRID_EVERY_MS, demand.every_ms // 2)
        else:
            mode, every_ms = Mode.FULL, HYBRID_EVERY_MS
        again = replace(demand, mode=mode, every_ms=every_ms, sent_fps=0.0)
        return Change(demand.id, mode, every_ms, "head room") if may_enter(speed, budget_ms, others, again) else None
    return None
