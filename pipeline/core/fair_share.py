"""Which of the chunks that wait are sent next: by lane, fairly between teams by their weights, then in their order.

Fair is what is under way, counted in frames: whoever has fewest frames sent or being analysed for its weight is next.
So a team that comes to a queue full of another's work catches up at once, and nothing has to be remembered.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

#: The lanes by rank, as table `lane` has them.
LANES = ("live", "fresh", "reprocess")


class QueueKey(NamedTuple):
    """One team's queue in one lane."""

    lane: str
    team: str


@dataclass(frozen=True)
class Lane:
    """A lane of the queue.

    Args:
        rank: lanes of a lower rank come first.
        share: of the frames under way, kept for this lane while it has work.
    """

    name: str
    rank: int
    share: float = 0.0


@dataclass(frozen=True)
class Waiting(Generic[T]):
    """One piece of work that may be sent.

    Args:
        frames: its size.
    """

    queue: QueueKey
    item: T
    frames: int


@dataclass(frozen=True)
class UnderWay:
    """What a queue has sent and not got back."""

    chunks: int = 0
    frames: int = 0


def share_out(
    waiting: Iterable[Waiting[T]],
    under_way: Mapping[QueueKey, UnderWay],
    lanes: Sequence[Lane],
    weights: Mapping[str, float],
    slots: Mapping[str, int],
    limit: int,
) -> list[T]:
    """Choose what is sent next.

    A lane with less under way than its share is first, the one furthest below it before others; then the lane of the
    lowest rank that has work.

    Args:
        waiting: of each queue in its order, at least its first `limit`.
        weights: of each team that waits.
        slots: the most chunks that a team may have under way in all lanes; teams that are not named have no limit.
        limit: the most to choose.

    Returns:
        What to send, in order.
    """
    queues: dict[QueueKey, deque[Waiting[T]]] = defaultdict(deque)
    for one in waiting:
        queues[one.queue].append(one)
    frames_of = {queue: done.frames for queue, done in under_way.items()}
    chunks_of: dict[str, int] = defaultdict(int)
    frames_in: dict[str, int] = {lane.name: 0 for lane in lanes}
    for queue, done in under_way.items():
        chunks_of[queue.team] += done.chunks
        frames_in[queue.lane] += done.frames
    heads: dict[str, list[tuple[float, str]]] = {lane.name: [] for lane in lanes}

    def offer(queue: QueueKey) -> None:
        if queues[queue]:
            load = (frames_of.get(queue, 0) + queues[queue][0].frames) / weights[queue.team]
            heapq.heappush(heads[queue.lane], (load, queue.team))

    for queue in queues:
        offer(queue)
    chosen: list[T] = []
    while len(chosen) < limit:
        for of_lane in heads.values():
            while of_lane and chunks_of[of_lane[0][1]] >= slots.get(of_lane[0][1], limit + chunks_of[of_lane[0][1]]):
                heapq.heappop(of_lane)
        open_lanes = [lane for lane in lanes if heads[lane.name]]
        if not open_lanes:
            break
        lane = _next_lane(open_lanes, frames_in)
        queue = QueueKey(lane.name, heapq.heappop(heads[lane.name])[1])
        taken = queues[queue].popleft()
        chosen.append(taken.item)
        frames_of[queue] = frames_of.get(queue, 0) + taken.frames
        frames_in[lane.name] += taken.frames
        chunks_of[queue.team] += 1
        offer(queue)
    return chosen


def idle_parts(
    waiting: Collection[QueueKey],
    under_way: Mapping[QueueKey, UnderWay],
    lanes: Sequence[Lane],
    weights: Mapping[str, float],
    slots: int,
) -> dict[QueueKey, int]:
    """Teams that have work in the first lane with any, and nothing under way there: how many slots are their part.

    Args:
        waiting: the queues with work.
        weights: of each team that waits or has work under way.
        slots: of all workers.
    """
    ranks = {lane.name: lane.rank for lane in lanes}
    busy = {queue for queue, done in under_way.items() if done.chunks}
    first = min((ranks[queue.lane] for queue in waiting), default=0)
    idle = [queue for queue in waiting if ranks[queue.lane] == first and queue not in busy]
    if not idle or not any(queue not in idle for queue in busy):
        return {}
    total = sum(weights[team] for team in {queue.team for queue in busy | set(waiting)})
    return {queue: math.ceil(slots * weights[queue.team] / total) for queue in sorted(idle) if slots}


def _next_lane(open_lanes: Sequence[Lane], frames_in: Mapping[str, int]) -> Lane:
    total = sum(frames_in.values())
    short = [lane for lane in open_lanes if frames_in[lane.name] < lane.share * total]
    if short:
        return min(short, key=lambda lane: (frames_in[lane.name] / lane.share, lane.rank))
    return min(open_lanes, key=lambda lane: lane.rank)
