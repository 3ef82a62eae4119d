"""How many people a run's frames have, without reading their poses."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from pipeline.db.tables import chunk, frame


@dataclass(frozen=True)
class Stretch:
    """Some frames that follow each other.

    Args:
        frames: that are there.
        most_people: in one frame.
        missing: frames that could not be analysed.
    """

    number: int
    frames: int
    most_people: int
    missing: int


@dataclass(frozen=True)
class MissingSpan:
    """Frames `[first, stop)` that could not be analysed for one reason."""

    first: int
    stop: int
    reason: str


@dataclass(frozen=True)
class ChunkSpan:
    """A chunk's frames `[first, stop)` and its state."""

    first: int
    stop: int
    state: str


_MISSING = text(
    """
    SELECT min(frame) AS first, max(frame) + 1 AS stop, missing AS reason
    FROM (
        SELECT frame, missing, frame - row_number() OVER (PARTITION BY missing ORDER BY frame) AS island
        FROM frame WHERE run_id = :run_id AND missing IS NOT NULL
    ) AS numbered
    GROUP BY missing, island ORDER BY first LIMIT :at_most
    """
)


def count_people(connection: Connection, run_id: UUID, frames_each: int) -> list[Stretch]:
    """The run's frames that are there by stretches of so many; a stretch without any is left out."""
    rows = connection.execute(
        select(
            (frame.c.frame // frames_each).label("number"),
            func.count().label("frames"),
            func.max(frame.c.people).label("most_people"),
            func.count(frame.c.missing).label("missing"),
        )
        .where(frame.c.run_id == run_id)
        .group_by("number")
        .order_by("number")
    )
    return [Stretch(int(row.number), row.frames, row.most_people, row.missing) for row in rows]


def select_missing_spans(connection: Connection, run_id: UUID, at_most: int) -> list[MissingSpan]:
    """The first of a run's spans of frames that could not be analysed, in order."""
    rows = connection.execute(_MISSING, {"run_id": run_id, "at_most": at_most})
    return [MissingSpan(row.first, row.stop, row.reason) for row in rows]


def select_chunk_spans(connection: Connection, run_id: UUID) -> list[ChunkSpan]:
    """A run's chunks in order, neighbours of one state as one."""
    rows = connection.execute(
        select(chunk.c.first_frame, chunk.c.frames, chunk.c.state).where(chunk.c.run_id == run_id).order_by(chunk.c.idx)
    )
    spans: list[ChunkSpan] = []
    for first, frames, state in rows:
        if spans and (spans[-1].state, spans[-1].stop) == (state, first):
            spans[-1] = ChunkSpan(spans[-1].first, first + frames, state)
        else:
            spans.append(ChunkSpan(first, first + frames, state))
    return spans
