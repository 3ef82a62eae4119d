"""Which of the chunks that wait are sent next: by lane, fairly between teams by their weights, then in their order.

Fair is what is under way, counted in frames: whoever has fewest frames sent or being analysed for its weight is next.
So a team that comes to a queue full of another's work catches up at once, and nothing has to be remembered. Where there
are more teams than places, those that have nothing under way take turns by their weights; and lanes take turns by their
shares.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

#: Multiples of these, less their whole parts, fill the range from 0 to 1 evenly, and the one regardless of the other.
_LANE_TURN = (math.sqrt(5) - 1) / 2
_TEAM_TURN = math.sqrt(2) - 1

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
        share: of the chunks that are sent, kept for this lane while it has work.
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

    item: T
    frames: int


@dataclass(frozen=True)
class UnderWay:
    """What a queue has sent and not got back.

    Args:
        running: chunks that are being analysed; the others wait in Redis.
    """

    chunks: int = 0
    frames: int = 0
    running: int = 0


class Chosen(NamedTuple, Generic[T]):
    """What is sent next, in order: `first` before what waits already, `in_turn` after it."""

    first: list[T]
    in_turn: list[T]


def share_out(
    waiting: Mapping[QueueKey, Iterable[Waiting[T]]],
    under_way: Mapping[QueueKey, UnderWay],
    lanes: Sequence[Lane],
    weights: Mapping[str, float],
    caps: Mapping[str, int],
    limit: int,
    parts: Mapping[QueueKey, int] | None = None,
    turn: int = 0,
) -> Chosen[T]:
    """Choose what is sent next.

    Each lane that has work gets its share; what is left is for the one of the lowest rank.

    Args:
        waiting: each queue in its order, at least its first `limit`.
        weights: of each team that waits.
        caps: the most chunks that a team may have under way in all lanes; teams that are not named have no limit.
        limit: the most to choose, but for `parts`.
        parts: how many of these queues go first, from `idle_parts`.
        turn: how many were chosen before.
    """
    left = {queue: iter(items) for queue, items in waiting.items()}
    frames_of = {queue: done.frames for queue, done in under_way.items()}
    chunks_of: dict[str, int] = defaultdict(int)
    for queue, done in under_way.items():
        chunks_of[queue.team] += done.chunks

    def may_take(team: str) -> bool:
        return chunks_of[team] < caps.get(team, math.inf)

    def take(queue: QueueKey, one: Waiting[T]) -> T:
        frames_of[queue] = frames_of.get(queue, 0) + one.frames
        chunks_of[queue.team] += 1
        return one.item

    busy: dict[str, list[tuple[float, str]]] = {lane.name: [] for lane in lanes}
    idle: dict[str, list[str]] = {lane.name: [] for lane in lanes}
    head_of: dict[QueueKey, Waiting[T]] = {}

    def offer(queue: QueueKey) -> None:
        if one := next(left[queue], None):
            head_of[queue] = one
            if frames := frames_of.get(queue):
                heapq.heappush(busy[queue.lane], ((frames + one.frames) / weights[queue.team], queue.team))
            else:
                idle[queue.lane].append(queue.team)

    def lane_of_turn(number: int, sending: str | None = None) -> str | None:
        for lane in lanes:
            idle[lane.name] = [team for team in idle[lane.name] if may_take(team)]
            while busy[lane.name] and not may_take(busy[lane.name][0][1]):
                heapq.heappop(busy[lane.name])
        open_lanes = [lane for lane in lanes if idle[lane.name] or busy[lane.name] or lane.name == sending]
        return _next_lane(open_lanes, number).name if open_lanes else None

    def next_of(name: str, number: int) -> T:
        turns = idle[name]
        team = _take_turn(turns, weights, number) if turns else heapq.heappop(busy[name])[1]
        queue = QueueKey(name, team)
        item = take(queue, head_of[queue])
        offer(queue)
        return item

    going_first = parts or {}
    for queue in sorted(left):
        if queue not in going_first:
            offer(queue)
    first: list[T] = []
    for queue, part in going_first.items():
        most = min(part, max(caps[queue.team] - chunks_of[queue.team], 0)) if queue.team in caps else part
        for one in islice(left[queue], most):
            # What goes first must not keep the other lanes from their turns.
            name = lane_of_turn(turn + len(first), queue.lane)
            if name is not None and name != queue.lane:
                first.append(next_of(name, turn + len(first)))
            first.append(take(queue, one))
    for queue in going_first:
        offer(queue)
    in_turn: list[T] = []
    while len(first) + len(in_turn) < limit:
        number = turn + len(first) + len(in_turn)
        name = lane_of_turn(number)
        if name is None:
            break
        in_turn.append(next_of(name, number))
    return Chosen(first, in_turn)


def idle_parts(
    waiting: Collection[QueueKey],
    under_way: Mapping[QueueKey, UnderWay],
    lanes: Sequence[Lane],
    weights: Mapping[str, float],
    slots: int,
) -> dict[QueueKey, int]:
    """Teams that have work in the first lane with any, and nothing under way there: how many slots are their part.

    A part of less than one slot is one only while no other team waits there with nothing running. Else a team whose
    only chunk ended would be before it again and again.

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
    overtaken = any(not done.running for queue, done in under_way.items() if done.chunks and ranks[queue.lane] == first)
    parts = {queue: slots * weights[queue.team] / total for queue in sorted(idle)}
    return {queue: math.ceil(part) for queue, part in parts.items() if part and (part > 1 - 1e-9 or not overtaken)}


def _take_turn(teams: list[str], weights: Mapping[str, float], turn: int) -> str:
    """Take out the team whose turn it is."""
    at = turn * _TEAM_TURN % 1 * sum(weights[team] for team in teams)
    ends = accumulate(weights[team] for team in teams)
    return teams.pop(next((number for number, end in enumerate(ends) if at < end), -1))


def _next_lane(open_lanes: Sequence[Lane], turn: int) -> Lane:
    """The lane whose turn it is; what the others do not keep is the first one's."""
    first, *others = open_lanes
    ends = accumulate(lane.share for lane in others)
    return next((lane for lane, end in zip(others, ends, strict=True) if turn * _LANE_TURN % 1 < end), first)
