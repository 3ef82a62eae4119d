"""When each open run will be done: the queue's own rules, worked through ahead of time.

A short queue is worked through chunk by chunk. Of a long one, what comes later is taken in pieces of many chunks, each
short beside the time until then, so that a forecast of a million chunks takes about a second.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.fair_share import Lane, QueueKey, UnderWay, Waiting, idle_parts, share_out
from pipeline.core.window import Window

#: Up to so many chunks are worked through one by one.
_FEW_CHUNKS = 10_000
#: Of more slots than these several are taken as one.
_MOST_SLOTS = 64
#: How long a piece takes at most, in proportion to the time until it is sent.
_PIECE = 0.02


@dataclass(frozen=True)
class OpenRun:
    """A run that is not done, for the forecast.

    Args:
        frames: those still to be analysed.
        slot_s_per_frame: how long a slot takes for one of them.
        chunks: open ones.
    """

    id: UUID
    queue: QueueKey
    frames: int
    slot_s_per_frame: float
    chunks: int


@dataclass(frozen=True)
class OpenChunk:
    """A chunk that is sent or being analysed.

    Args:
        frames: those still to be analysed.
    """

    run_id: UUID
    frames: int
    running: bool


@dataclass(frozen=True)
class _Piece:
    """Chunks of one queue that follow each other on one slot, or on several that are taken as one.

    Args:
        chunks: how many, of which runs.
        frames: under way at a time.
    """

    queue: QueueKey
    chunks: Sequence[tuple[UUID, int]]
    frames: int
    seconds: float


@dataclass
class _Ready:
    """The chunks of a run that were not sent yet."""

    run: OpenRun
    chunks: int
    frames_each: float

    @property
    def chunk_s(self) -> float:
        return self.frames_each * self.run.slot_s_per_frame


def forecast(
    runs: Iterable[OpenRun],
    lanes: Sequence[Lane],
    weights: Mapping[str, float],
    caps: Mapping[str, int],
    slots: int,
    window: int,
    under_way: Sequence[OpenChunk] = (),
    turn: int = 0,
    tick_s: float = math.inf,
) -> dict[UUID, float]:
    """Seconds from now until each run's last frame is analysed.

    Args:
        runs: in the order in which their team's queue has them.
        weights: of each team.
        caps: the most chunks of a team under way; teams that are not named have no limit.
        slots: of all workers; without any nothing ends, and the result is empty.
        window: how many chunks wait in Redis at most.
        under_way: chunks that are sent or being analysed, in the order in which they were sent.
        turn: how many were sent before now.
        tick_s: how often the window is filled also when more than half of it waits.

    Returns:
        By run; those that nothing would ever be sent of are not in it.
    """
    return _Forecast(runs, lanes, weights, caps, slots, window, under_way, turn, tick_s).run() if slots else {}


class _Forecast:
    def __init__(
        self,
        runs: Iterable[OpenRun],
        lanes: Sequence[Lane],
        weights: Mapping[str, float],
        caps: Mapping[str, int],
        slots: int,
        window: int,
        under_way: Sequence[OpenChunk],
        turn: int,
        tick_s: float,
    ) -> None:
        runs = list(runs)
        few = sum(run.chunks for run in runs) <= _FEW_CHUNKS
        self._lanes, self._weights, self._caps = lanes, weights, caps
        self._piece = 0.0 if few else _PIECE
        self._at_once = 1 if few else math.ceil(slots / _MOST_SLOTS)
        self._slots = max(round(slots / self._at_once), 1)
        self._slowness = self._slots * self._at_once / slots
        self._window = max(round(window / self._at_once), 1)
        self._piece_caps = {team: max(cap // self._at_once, 1) for team, cap in caps.items()}
        self._turn = turn
        self._tick_s = tick_s if few else math.inf
        self._next_tick_s = self._tick_s
        self._now_s = 0.0
        self._left: Counter[UUID] = Counter()
        self._waiting: dict[QueueKey, deque[_Ready]] = defaultdict(deque)
        self._first: deque[_Piece] = deque()
        self._sent: deque[_Piece] = deque()
        self._working: list[tuple[float, int, _Piece]] = []
        self._started = 0
        self._busy: dict[QueueKey, UnderWay] = defaultdict(UnderWay)
        self._chunk_s = 0.0
        self._ended = self._lone_ended = 0
        self._take_state({run.id: run for run in runs}, under_way)

    def run(self) -> dict[UUID, float]:
        ends_s: dict[UUID, float] = {}
        while True:
            if self._wants_more() or self._now_s >= self._next_tick_s:
                self._refill()
                self._ended = self._lone_ended = 0
                self._next_tick_s = self._now_s + self._tick_s
            while (self._first or self._sent) and len(self._working) < self._slots:
                self._start((self._first or self._sent).popleft())
            if not self._working:
                return ends_s
            self._now_s, _, piece = heapq.heappop(self._working)
            self._add(piece, -1)
            self._ended += 1
            self._lone_ended += self._caps.get(piece.queue.team) == 1
            for run_id, chunks in piece.chunks:
                self._left[run_id] -= chunks
                if not self._left[run_id]:
                    ends_s[run_id] = self._now_s

    def _take_state(self, runs: Mapping[UUID, OpenRun], under_way: Sequence[OpenChunk]) -> None:
        of_run: dict[UUID, list[OpenChunk]] = defaultdict(list)
        for chunk in under_way:
            of_run[chunk.run_id].append(chunk)
        for run in runs.values():
            sent = of_run[run.id]
            ready = max(run.chunks - len(sent), 0 if sent else 1)
            frames = max(run.frames - sum(chunk.frames for chunk in sent), 1)
            self._left[run.id] = ready + len(sent)
            if ready:
                self._waiting[run.queue].append(_Ready(run, ready, frames / ready))
        every = [one for queue in self._waiting.values() for one in queue]
        chunks = sum(one.chunks for one in every)
        self._chunk_s = max(sum(one.chunks * one.chunk_s for one in every) / max(chunks, 1), 1e-9)
        together: dict[tuple[QueueKey, bool], list[tuple[OpenRun, OpenChunk]]] = defaultdict(list)
        for chunk in under_way:
            if chunk.run_id in runs:
                run = runs[chunk.run_id]
                several = together[run.queue, chunk.running]
                several.append((run, chunk))
                if len(several) == self._at_once:
                    self._take_sent(several)
                    several.clear()
        for several in together.values():
            self._take_sent(several)

    def _take_sent(self, chunks: Sequence[tuple[OpenRun, OpenChunk]]) -> None:
        if not chunks:
            return
        seconds = max(chunk.frames * run.slot_s_per_frame for run, chunk in chunks)
        frames = max(sum(chunk.frames for _, chunk in chunks), 1)
        piece = _Piece(chunks[0][0].queue, [(run.id, 1) for run, _ in chunks], frames, seconds * self._slowness)
        self._add(piece, 1)
        if chunks[0][1].running:
            self._start(piece)
        else:
            self._sent.append(piece)

    def _add(self, piece: _Piece, sign: int) -> None:
        done = self._busy[piece.queue]
        running = min(done.running, done.running + sign)
        self._busy[piece.queue] = UnderWay(done.chunks + sign, done.frames + sign * piece.frames, running)

    def _start(self, piece: _Piece) -> None:
        done = self._busy[piece.queue]
        self._busy[piece.queue] = UnderWay(done.chunks, done.frames, done.running + 1)
        self._started += 1
        heapq.heappush(self._working, (self._now_s + piece.seconds, self._started, piece))

    def _wants_more(self) -> bool:
        waiting = len(self._first) + len(self._sent) - 1
        return Window(self._window, waiting, self._ended, self._lone_ended).wants_more

    def _refill(self) -> None:
        if not self._waiting:
            return
        parts = idle_parts(self._waiting.keys(), self._busy, self._lanes, self._weights, self._slots)
        first, in_turn = share_out(
            {queue: self._pieces(queue) for queue in self._waiting},
            self._busy,
            self._lanes,
            self._weights,
            self._piece_caps,
            max(self._window - len(self._first) - len(self._sent), 0),
            parts,
            self._turn,
        )
        self._turn += len(first) + len(in_turn)
        for piece in [*first, *in_turn]:
            self._remove(piece)
        self._first.extend(first)
        self._sent.extend(in_turn)

    def _pieces(self, queue: QueueKey) -> Iterator[Waiting[_Piece]]:
        """What this queue has to send, in its order; of one run or several."""
        at_once = min(self._at_once, self._caps.get(queue.team, self._at_once))
        ready = iter(self._waiting[queue])
        run = next(ready, None)
        left = run.chunks if run else 0
        while run:
            head, chunks, slot_s = run, [], 0.0
            wanted = at_once * max(int(self._piece * self._now_s / self._chunk_s), 1)
            while run and wanted:
                count = min(wanted, left)
                chunks.append((run.run.id, count))
                slot_s += count * run.chunk_s
                wanted, left = wanted - count, left - count
                if not left:
                    run = next(ready, None)
                    left = run.chunks if run else 0
            frames = max(round(head.frames_each * at_once), 1)
            seconds = max(slot_s / at_once, head.chunk_s) * self._slowness
            yield Waiting(_Piece(queue, chunks, frames, seconds), frames)

    def _remove(self, piece: _Piece) -> None:
        queue = self._waiting[piece.queue]
        for _, count in piece.chunks:
            queue[0].chunks -= count
            if not queue[0].chunks:
                queue.popleft()
        if not queue:
            del self._waiting[piece.queue]
        self._add(piece, 1)
