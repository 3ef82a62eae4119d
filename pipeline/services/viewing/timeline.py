"""A run in one strip: how many people are in view, what is missing, and what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.states import ChunkState, RunState, is_final
from pipeline.db.engine import transaction
from pipeline.db.frame_counts import MissingSpan, Stretch, count_people, select_chunk_spans, select_missing_spans
from pipeline.services.system import System
from pipeline.services.viewing.runs import run_of_video

#: What a strip on a wide screen can show.
_STRETCHES = 600
_MISSING_SPANS = 200
_OPEN = {ChunkState.READY, ChunkState.QUEUED, ChunkState.RUNNING}


@dataclass(frozen=True)
class Timeline:
    """A run's frames in stretches of `frames_each`.

    Args:
        frames: of the video; 0 where it is not ingested yet.
        stretches: those that have frames.
        missing: the first spans of frames that could not be analysed.
        to_come: spans of frames `[first, stop)` whose poses are still to come.
        final: whether nothing of it will change.
    """

    run_id: UUID
    state: RunState
    frames: int
    frames_each: int
    stretches: Sequence[Stretch]
    missing: Sequence[MissingSpan]
    to_come: Sequence[tuple[int, int]]
    final: bool


def run_timeline(system: System, video_id: UUID, run_id: UUID, *, team: str | None) -> Timeline:
    """The timeline of a run, finished or not.

    Raises:
        NotFound: there is no such run of that video, or it is another team's.
    """
    with transaction(system.engine) as connection:
        run = run_of_video(connection, video_id, run_id, team=team)
        frames = run.frames or 0
        each = max(1, -(-frames // _STRETCHES))
        chunks = [] if is_final(run.state) else select_chunk_spans(connection, run_id)
        to_come = [(span.first, span.stop) for span in chunks if span.state in _OPEN]
        if not chunks and not is_final(run.state) and frames:
            to_come = [(0, frames)]
        return Timeline(
            run.id,
            run.state,
            frames,
            each,
            count_people(connection, run_id, each),
            select_missing_spans(connection, run_id, _MISSING_SPANS),
            _joined(to_come),
            is_final(run.state),
        )


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, stop in spans:
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((first, stop))
    return joined
