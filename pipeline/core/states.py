"""What state a row may be in, and which state may follow: the one transition table.

Every writer of a state goes through `db.transitions`, which reads this table; the database holds a copy and refuses
anything else, whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class VideoState(StrEnum):
    """Where an uploaded video stands."""

    UPLOADING = "uploading"
    STORED = "stored"
    READY = "ready"
    REJECTED = "rejected"


class RunState(StrEnum):
    """Where the analysis of one video by one model stands.

    It waits for its video to be ingested, is queued once its chunks are planned, and runs from the moment when a worker
    takes the first of them.
    """

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHING = "finishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ChunkState(StrEnum):
    """Where one piece of a run stands."""

    READY = "ready"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class ProxyState(StrEnum):
    """Where the copy of a video for browsers stands."""

    WANTED = "wanted"
    READY = "ready"
    FAILED = "failed"


State = VideoState | RunState | ChunkState | ProxyState

V, R, C, P = VideoState, RunState, ChunkState, ProxyState

#: By kind first: "running" of a run and "running" of a chunk are equal strings.
TRANSITIONS: Mapping[type[State], Mapping[State, tuple[State, ...]]] = {
    VideoState: {
        V.UPLOADING: (V.STORED, V.REJECTED),
        V.STORED: (V.READY, V.REJECTED),
        V.READY: (),
        V.REJECTED: (V.STORED,),
    },
    RunState: {
        R.WAITING: (R.QUEUED, R.FAILED, R.CANCELLED),
        R.QUEUED: (R.RUNNING, R.FAILED, R.CANCELLED),
        R.RUNNING: (R.FINISHING, R.FAILED, R.CANCELLED),
        R.FINISHING: (R.DONE, R.FAILED, R.CANCELLED),
        R.DONE: (),
        R.FAILED: (),
        R.CANCELLED: (),
    },
    ChunkState: {
        C.READY: (C.QUEUED, C.RUNNING, C.CANCELLED),
        C.QUEUED: (C.READY, C.RUNNING, C.CANCELLED),
        C.RUNNING: (C.READY, C.DONE, C.QUARANTINED, C.CANCELLED),
        C.DONE: (),
        C.QUARANTINED: (C.READY,),
        C.CANCELLED: (),
    },
    ProxyState: {
        P.WANTED: (P.READY, P.FAILED),
        P.READY: (),
        P.FAILED: (P.WANTED,),
    },
}


def sources(target: State) -> tuple[State, ...]:
    """The states from which `target` may be reached."""
    return tuple(source for source, targets in TRANSITIONS[type(target)].items() if target in targets)


def is_final(state: State) -> bool:
    """Whether nothing follows."""
    return not TRANSITIONS[type(state)][state]
