"""When each open run will be done: the queue's own rules, worked through ahead of time.

Work is taken to flow evenly: each lane and team has its part of the slots, and the runs of a team are worked off in
their order. What the parts are changes only when a run ends, so the forecast goes from end to end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pipeline.core.fair_share import Lane, QueueKey


@dataclass(frozen=True)
class OpenRun:
    """A run that is not done, for the forecast.

    Args:
        frames: those still to be analysed.
        slot_s_per_frame: how long a slot takes for one of them.
        chunks: open ones: no more slots can be at work on it.
    """

    id: UUID
    queue: QueueKey
    frames: int
    slot_s_per_frame: float
    chunks: int


class _Flow:
    """One team's queue in one lane, being worked off."""

    def __init__(self, share: float, most_slots: float) -> None:
        self.share = share
        self.most_slots = most_slots
        self.runs: deque[tuple[OpenRun, float]] = deque()

    @property
    def cost(self) -> float:
        return self.runs[0][0].slot_s_per_frame

    @property
    def widest(self) -> float:
        """The most slots that can be at work here: what comes after the first run helps to fill them."""
        chunks = 0
        for run, _ in self.runs:
            chunks += run.chunks
            if chunks >= self.most_slots:
                return self.most_slots
        return float(chunks)


def forecast(
    runs: Iterable[OpenRun],
    lanes: Sequence[Lane],
    weights: Mapping[str, float],
    caps: Mapping[str, int],
    slots: int,
    under_way: int = 1_000_000,
) -> dict[UUID, float]:
    """Seconds from now until each run's last frame is analysed.

    Args:
        runs: in the order in which their team's queue has them.
        weights: of each team.
        caps: the most slots of a team; teams that are not named have no limit.
        slots: of all workers; without any nothing ends, and the result is empty.
        under_way: how many chunks are sent or being analysed at a time; a lane's share of them is at least one.
    """
    if slots < 1:
        return {}
    lanes = [replace(lane, share=max(lane.share, 1 / under_way)) for lane in lanes]
    flows: dict[QueueKey, _Flow] = {}
    for run in runs:
        flow = flows.setdefault(run.queue, _Flow(0.0, min(slots, caps.get(run.queue.team, slots))))
        flow.runs.append((run, float(max(run.frames, 1))))
    ends_s: dict[UUID, float] = {}
    now_s = 0.0
    speeds = _speeds(flows, lanes, weights, slots)
    while flows:
        first = min(flows, key=lambda queue: flows[queue].runs[0][1] / speeds[queue])
        step_s = flows[first].runs[0][1] / speeds[first]
        now_s += step_s
        for queue in list(flows):
            flow = flows[queue]
            run, left = flow.runs.popleft()
            left -= step_s * speeds[queue]
            if queue != first and left > 0:
                flow.runs.appendleft((run, left))
                continue
            # However many slots there are, a chunk takes its time on one.
            ends_s[run.id] = max(now_s, run.frames / max(run.chunks, 1) * run.slot_s_per_frame)
            if not flow.runs:
                del flows[queue]
        speeds = _speeds(flows, lanes, weights, slots)
    return ends_s


def _speeds(
    flows: Mapping[QueueKey, _Flow], lanes: Sequence[Lane], weights: Mapping[str, float], slots: int
) -> dict[QueueKey, float]:
    """Frames a second of each queue: in proportion to its part of the frames under way, as far as it has chunks."""
    parts = _parts(flows, lanes, weights)
    speeds: dict[QueueKey, float] = {}
    free = float(slots)
    while parts:
        speed = free / sum(part * flows[queue].cost for queue, part in parts.items())
        full = [q for q, part in parts.items() if part * speed * flows[q].cost > flows[q].widest * (1 + 1e-9)]
        if not full:
            return speeds | {queue: part * speed for queue, part in parts.items()}
        for queue in full:
            speeds[queue] = flows[queue].widest / flows[queue].cost
            free -= flows[queue].widest
            del parts[queue]
        free = max(free, 1e-9)
    return speeds


def _parts(
    flows: Mapping[QueueKey, _Flow], lanes: Sequence[Lane], weights: Mapping[str, float]
) -> dict[QueueKey, float]:
    with_work = [lane for lane in lanes if any(queue.lane == lane.name for queue in flows)]
    parts: dict[QueueKey, float] = {}
    for number, lane in enumerate(with_work):
        of_lane = 1 - sum(other.share for other in with_work[1:]) if number == 0 else lane.share
        teams = [queue for queue in flows if queue.lane == lane.name]
        total = sum(weights[queue.team] for queue in teams)
        parts |= {queue: max(of_lane, 1e-9) * weights[queue.team] / total for queue in teams}
    return parts
