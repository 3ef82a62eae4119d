"""A run in one strip: how many people are in view, what is missing, and what is still to come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.states import ChunkState, RunState, is_final
from pipeline.db.engine import transaction
from pipeline.db.frame_counts import MissingSpan, Stretch, count_people, select_chunk_spans, select_missing_spans
from pipeline.db.runs import RunRow
from pipeline.services.system import System
from pipeline.services.viewing.runs import run_of_video

#: What a strip on a wide screen can show.
_STRETCHES = 600
_MISSING_SPANS = 200
#: Runs, of about 100 kB each.
_KEPT = 100
#: What was given up has rows that say why.
_ENDED = {ChunkState.DONE, ChunkState.QUARANTINED}


@dataclass(frozen=True)
class Timeline:
    """A run's frames in stretches of `frames_each`.

    Args:
        frames: of the video; 0 where it is not ingested yet.
        stretches: those that have frames.
        missing: the first spans of frames that could not be analysed.
        to_come: spans of frames `[first, stop)` whose poses are still to come.
        not_analysed: spans of frames whose poses never come, since the run was cancelled or failed before.
        final: whether nothing of it will change.
    """

    run_id: UUID
    state: RunState
    frames: int
    frames_each: int
    stretches: Sequence[Stretch]
    missing: Sequence[MissingSpan]
    to_come: Sequence[tuple[int, int]]
    not_analysed: Sequence[tuple[int, int]]
    final: bool


@dataclass(frozen=True)
class _Counted:
    stretches: Sequence[Stretch]
    missing: Sequence[MissingSpan]


class TimelineCache:
    """What was counted of the runs that ended: an hour's frames take 0.12 s to count. Thread-safe."""

    def __init__(self) -> None:
        self._counted: OrderedDict[tuple[UUID, datetime, int], _Counted] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, connection: Connection, run: RunRow, frames_each: int) -> _Counted:
        """A run's stretches and missing spans, counted anew unless it has ended since and has the same frames."""
        if not is_final(run.state) or run.finished_at is None:
            return _count(connection, run, frames_each)
        key = (run.id, run.finished_at, run.frames_done)
        with self._lock:
            if key in self._counted:
                self._counted.move_to_end(key)
                return self._counted[key]
        counted = _count(connection, run, frames_each)
        with self._lock:
            self._counted[key] = counted
            while len(self._counted) > _KEPT:
                self._counted.popitem(last=False)
        return counted


def run_timeline(
    system: System, video_id: UUID, run_id: UUID, *, team: str | None, cache: TimelineCache | None = None
) -> Timeline:
    """The timeline of a run, finished or not.

    Raises:
        NotFound: there is no such run of that video, or it is another team's.
    """
    with transaction(system.engine) as connection:
        run = run_of_video(connection, video_id, run_id, team=team)
        frames = run.frames or 0
        each = max(1, -(-frames // _STRETCHES))
        chunks = [] if run.state is RunState.DONE else select_chunk_spans(connection, run_id)
        lacking = [(span.first, span.stop) for span in chunks if span.state not in _ENDED]
        if not chunks and run.state is not RunState.DONE and frames:
            lacking = [(0, frames)]
        ended = is_final(run.state)
        counted = (cache or TimelineCache()).get(connection, run, each)
    return Timeline(
        run.id,
        run.state,
        frames,
        each,
        counted.stretches,
        counted.missing,
        [] if ended else _joined(lacking),
        _joined(lacking) if ended else [],
        ended,
    )


def _count(connection: Connection, run: RunRow, frames_each: int) -> _Counted:
    return _Counted(
        count_people(connection, run.id, frames_each), select_missing_spans(connection, run.id, _MISSING_SPANS)
    )


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, stop in spans:
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((first, stop))
    return joined
