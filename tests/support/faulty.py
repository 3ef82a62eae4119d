# ruff: noqa: PLC0415 - the clock has to be set before anything takes its own copy of it
"""A worker or a beat with faults put into its process: `FAULTS='{"slow": 0.02}' python -m tests.support.faulty worker`.

Each fault is one function here, named with its value in the environment. What a test needs to go wrong once names a
file that is made when it has happened.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VARIABLE = "FAULTS"


def slow(pause_s: float) -> None:
    """Take that long for each frame, without using the processor."""

    def slowed(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            time.sleep(pause_s)
            yield row

    _wrap_rows(slowed)


def no_work(people: int) -> None:
    """Find so many people in each frame at once, without decoding any: what is left is what the queue costs."""
    import numpy as np

    from pipeline.core.poses import FramePoses
    from pipeline.db.frames import FrameRow
    from pipeline.services import detect

    found = FramePoses(
        np.ones(people, np.float32), np.ones((people, 4), np.float32), np.ones((people, 17, 3), np.float32)
    )

    def find(spool: Any, system: Any, models: Any, claimed: Any, pulse: Any) -> str:
        first = claimed.plan.first_frame
        for number in range(first, first + claimed.plan.frames):
            spool.add(FrameRow(number, number, found))
        return "nothing"

    detect.find_poses = find


def device_lost(once: str) -> None:
    """Lose the GPU at the third frame of a chunk."""
    from pipeline.errors import DeviceLost

    def lost(rows: Iterator[Any]) -> Iterator[Any]:
        for number, row in enumerate(rows):
            if number == 2 and first_time(once):
                raise DeviceLost("the GPU fell off the bus")
            yield row

    _wrap_rows(lost)


def killed_after_pop(once: str) -> None:
    """Die after a chunk's message left the queue and before anything else knows of it."""
    from kombu.transport.redis import QoS

    append = QoS.append

    def dying(self: Any, message: Any, tag: Any) -> Any:
        if message.headers.get("task") == "poseline.detect" and first_time(once):
            os.kill(os.getpid(), signal.SIGKILL)
        return append(self, message, tag)

    QoS.append = dying


def disk_full(while_file: str) -> None:
    """Have no room for scratch files as long as this file is there."""
    import tempfile

    spooled, plain = tempfile.SpooledTemporaryFile, tempfile.TemporaryFile

    def refuse() -> None:
        if Path(while_file).exists():
            raise OSError(errno.ENOSPC, "No space left on device", "scratch")

    class Full(spooled):  # type: ignore[misc, valid-type]
        def writelines(self, lines: Any) -> None:
            refuse()
            super().writelines(lines)

    def full(*args: Any, **options: Any) -> Any:
        refuse()
        return plain(*args, **options)

    tempfile.SpooledTemporaryFile, tempfile.TemporaryFile = Full, full  # type: ignore[misc, assignment]


def clock(ahead_s: float) -> None:
    """Have a clock that goes so far ahead, or behind."""
    real_time, real = time.time, datetime.datetime

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, real)

    class Ahead(real, metaclass=Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return real.now(tz) + datetime.timedelta(seconds=ahead_s)

        @classmethod
        def utcnow(cls) -> datetime.datetime:
            return real.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=ahead_s)

    Ahead.__module__, Ahead.__qualname__, Ahead.__name__ = "datetime", "datetime", "datetime"
    datetime.datetime = Ahead  # type: ignore[misc]
    time.time = lambda: real_time() + ahead_s


FAULTS: dict[str, Callable[[Any], None]] = {
    each.__name__: each for each in (slow, no_work, device_lost, killed_after_pop, disk_full, clock)
}


def first_time(once: str) -> bool:
    """Whether this has not happened yet, in any process; from now on it has."""
    try:
        os.close(os.open(once, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _wrap_rows(wrapper: Callable[[Iterator[Any]], Iterator[Any]]) -> None:
    """Put a generator around what the worker computes of a chunk."""
    from pipeline.services import chunk_poses

    rows = chunk_poses.iter_pose_rows
    chunk_poses.iter_pose_rows = lambda *args, **options: wrapper(rows(*args, **options))  # type: ignore[assignment]


def main() -> None:
    """Be Celery's worker or beat, as `poseline worker` and `poseline beat` become it."""
    faults = json.loads(os.environ.get(VARIABLE, "{}"))
    for name in sorted(faults, key=lambda each: each != "clock"):  # before anything else takes its own copy of it
        FAULTS[name](faults[name])
    role, *options = sys.argv[1:]
    if role == "worker":
        from workers import runtime

        # The golden images of the bundled model take a second that no fault needs.
        runtime.BUNDLED_MODEL = "rtmo-t"  # type: ignore[misc]
    sys.argv = ["celery", "-A", "workers.app", role, *options]
    from celery.__main__ import main as celery

    celery()


if __name__ == "__main__":
    main()
