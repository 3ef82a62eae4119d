"""The process in which a suspect is tried alone: `python -m pipeline.services.trial_process PARENT_PID REPORTS_FD`.

It reads what to do from its standard input, and reports as `services.trial` says.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.core.chunk_plan import ChunkPlan
from pipeline.db.chunks import ClaimedChunk
from pipeline.db.frames import FrameSpool
from pipeline.db.leases import Lease
from pipeline.errors import in_one_line
from pipeline.inference.engines.placement import Placement
from pipeline.logs import log_context
from pipeline.services.child import begin_child
from pipeline.services.chunk_poses import find_poses
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import build_system
from pipeline.services.trial import HEAD, Record
from pipeline.settings import Settings


class _Reports:
    """Tells the worker how far the work is, as a `Pulse`."""

    def __init__(self, fd: int) -> None:
        self.interrupted = threading.Event()  # never set: the worker kills this process
        self._file = os.fdopen(fd, "wb", buffering=0)

    def send(self, kind: Record, payload: bytes = b"") -> None:
        self._file.write(HEAD.pack(kind, len(payload)) + payload)

    def send_json(self, kind: Record, **values: object) -> None:
        self.send(kind, json.dumps(values).encode())

    def advance(self, amount: int = 1) -> None:
        for _ in range(amount):
            self.send(Record.FRAME)

    def note_alive(self) -> None:
        self.send(Record.ALIVE)

    @contextmanager
    def assume_alive(self, at_most_s: float) -> Iterator[None]:  # noqa: ARG002  the worker has the same limit
        yield
        self.send(Record.LOADED)

    def check(self) -> None:
        """Nothing: the worker kills this process."""


def main(parent_pid: int, reports_fd: int) -> None:
    """Analyse one chunk and report it: the main function of the process."""
    begin_child(parent_pid)
    request, reports = json.load(sys.stdin), _Reports(reports_fd)
    try:
        _analyse(request, reports)
    except Exception as error:  # noqa: BLE001  the worker raises it again
        number = error.errno if isinstance(error, OSError) else None
        reports.send_json(Record.FAILED, error=type(error).__name__, message=in_one_line(error), errno=number)


def _analyse(request: dict[str, Any], reports: _Reports) -> None:
    run_id, plan = UUID(request["run_id"]), ChunkPlan(**request["plan"])
    claimed = ClaimedChunk(
        Lease("chunk", (run_id, plan.idx), UUID(int=0)), plan, UUID(request["video_id"]), request["model_fingerprint"]
    )
    cache = request["placement"].pop("cache_path")
    placement = Placement(**request["placement"], cache_path=Path(cache) if cache else None)
    settings = Settings.received(request["settings"])
    with (
        log_context(run=str(run_id), chunk=plan.idx, alone=True),
        closing(build_system(settings)) as system,
        FrameSpool(run_id, plan.idx, settings.scratch_path) as spool,
    ):
        computed_with = find_poses(spool, system, ModelCache(system, placement), claimed, reports)
        for piece in spool.pieces():
            reports.send(Record.PIECE, piece)
        reports.send_json(Record.DONE, frames=spool.frames, people=spool.people, computed_with=computed_with)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
