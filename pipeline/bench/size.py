"""What can be measured, and how much of it; apart from the measuring, whose libraries take seconds to import."""

from __future__ import annotations

from dataclasses import dataclass

#: In the order of the table.
PARTS = ("system", "limit", "overhead", "scaling", "postgres", "people", "first", "memory")
#: Of `poseline bench decode`.
DECODE_PARTS = ("ingest", "decode", "memory")
DECODE_PAIRS = 5


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        pairs: of which a figure is the median.
        clip_s: seconds of video, at least; the clip given is looped.
        alone_frames: that conversion and network get alone, each.
        memory_s: of video, while memory is watched.
        slots: of the workers whose memory is watched; the first is what the goal is about.
        first_rounds: how often the wait for the first poses is taken.
        rows: frames that go into Postgres.
        people: at once in a picture.
        calls: of a model for each picture and pair.
    """

    pairs: int = 3
    clip_s: float = 60.0
    alone_frames: int = 200
    memory_s: float = 15.0
    slots: tuple[int, ...] = (2, 3, 4)
    first_rounds: int = 5
    rows: int = 12_000
    people: tuple[int, ...] = (1, 6, 15, 30)
    calls: int = 10
